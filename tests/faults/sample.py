"""Selects the operations to let fail, where a command does the same with many images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from edge_crnn.images import SUFFIXES


def without_repeats(operations: Sequence[tuple[str, str]]) -> list[int]:
    """Return the numbers, from 1, of the operations that differ from the others.

    The same operation at the same point of the work on an image, such as its second read, is repeated for every image
    of a folder. The first, the second, the middle and the last of such a series are selected, and all other operations.

    Args:
        operations: name and path of each operation.
    """
    series: dict[tuple[str, ...], list[int]] = defaultdict(list)
    earlier: Counter[tuple[str, str]] = Counter()
    for number, (operation, path) in enumerate(operations, 1):
        is_image = PurePath(path).suffix in SUFFIXES
        earlier[operation, path] += 1
        point = (operation, str(PurePath(path).parent), str(earlier[operation, path]))
        series[point if is_image else (str(number),)].append(number)
    return sorted({numbers[index] for numbers in series.values() for index in _telling(len(numbers))})


def _telling(count: int) -> set[int]:
    """Return the indices of the first, second, middle and last item."""
    return {0, min(1, count - 1), count // 2, count - 1}
