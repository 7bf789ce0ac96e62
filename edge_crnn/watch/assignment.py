"""Assigns rows to columns at the least total cost."""

from __future__ import annotations

import math
from collections.abc import Sequence


def assign(costs: Sequence[Sequence[float]], most: float) -> list[tuple[int, int]]:
    """Pair rows with columns so that the pairs and what stays unpaired cost least in total.

    This is the Hungarian method with potentials (Kuhn 1955; Munkres 1957), in O(rows² × (rows + columns)).

    Args:
        costs: (rows, columns) cost of each pair; infinite: they may not be paired.
        most: cost of a row that stays unpaired; a pair that costs more is never made.

    Returns:
        (row, column) of each pair, by row.
    """
    rows = len(costs)
    if not rows:
        return []
    columns = len(costs[0])
    # Every row may also take one of as many columns that stand for no partner.
    never = 1e6 * (most + 1)
    table = [[cost if math.isfinite(cost) else never for cost in row] + [most] * rows for row in costs]
    by_row = [0.0] * (rows + 1)
    by_column = [0.0] * (columns + rows + 1)
    row_of = [0] * (columns + rows + 1)  # 1-based; column 0 holds the row that looks for a partner
    for row in range(1, rows + 1):
        row_of[0] = row
        column = 0
        least = [math.inf] * (columns + rows + 1)
        came_from = [0] * (columns + rows + 1)
        visited = [False] * (columns + rows + 1)
        while row_of[column]:
            visited[column] = True
            current = row_of[column]
            delta = math.inf
            following = 0
            for other in range(1, columns + rows + 1):
                if visited[other]:
                    continue
                reduced = table[current - 1][other - 1] - by_row[current] - by_column[other]
                if reduced < least[other]:
                    least[other] = reduced
                    came_from[other] = column
                if least[other] < delta:
                    delta = least[other]
                    following = other
            for other in range(columns + rows + 1):
                if visited[other]:
                    by_row[row_of[other]] += delta
                    by_column[other] -= delta
                else:
                    least[other] -= delta
            column = following
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    return sorted((row_of[column] - 1, column - 1) for column in range(1, columns + 1) if row_of[column])
