"""The criteria for engines, and their verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from edge_crnn.records.gpu import NOT_REACHED, Criterion


class Criteria:
    """The criteria of a run; a criterion counts as not run until it is judged."""

    def __init__(self, planned: Sequence[Criterion]) -> None:
        self._all = {criterion.name: criterion for criterion in planned}

    def __iter__(self) -> Iterator[Criterion]:
        return iter(self._all.values())

    def judge(self, name: str, figure: float, note: str, not_shown: str = "") -> None:
        """Record a figure and whether it meets its threshold; `not_shown` is the reason why it proves nothing."""
        planned = self._all[name]
        met: bool | None = figure >= planned.threshold if planned.wants == "at least" else figure <= planned.threshold
        if not_shown:
            met = None
            note = not_shown
        self._all[name] = dataclasses.replace(planned, figure=figure, met=met, note=note)

    def not_run(self, why: str, *, model: str | None = None, part: str | None = None) -> None:
        """Record why the criteria of a model, a part, or both, were not judged."""
        for name, criterion in self._all.items():
            concerned = model in (None, criterion.model) and part in (None, criterion.part)
            if concerned and criterion.note == NOT_REACHED:
                self._all[name] = dataclasses.replace(criterion, note=why)

    @property
    def status(self) -> int:
        """Exit status of the command: 0 if all are met, 3 otherwise."""
        return 0 if all(criterion.met for criterion in self) else 3


def table(criteria: Criteria) -> str:
    """Return a line for every criterion."""
    width = max(len(criterion.name) for criterion in criteria)
    lines = []
    for criterion in criteria:
        figure = "–" if criterion.figure is None else f"{criterion.figure:.5g}"
        meaning = f"{figure} {criterion.what} (required: {criterion.wants} {criterion.threshold:.4g})"
        lines.append(f"{criterion.verdict:<7}  {criterion.name:<{width}}  {meaning}; {criterion.note}")
    return "\n".join(lines)
