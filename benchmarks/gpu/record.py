"""What `check` leaves behind: each criterion with its figure and threshold, and all that was measured for it."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..record import Machine

VERSION = 1
"""Version of the JSON form. 1: the first."""

SUITE = "edge-crnn gpu_check"
"""What tells such a file from other JSON."""

_NOT_REACHED = "the run ended before it"


@dataclass(frozen=True)
class Criterion:
    """One thing that must be shown."""

    name: str
    part: str
    """Of the check, in which it is found out."""
    model: str
    what: str
    """What the figure is, in words."""
    wants: Literal["at least", "at most"]
    threshold: float
    figure: float | None = None
    met: bool | None = None
    """None: not run."""
    note: str = _NOT_REACHED
    """How it was found out, or why it was not run."""

    @property
    def verdict(self) -> str:
        """In two words at most."""
        return "not run" if self.met is None else "met" if self.met else "MISSED"


class Criteria:
    """All that must be shown; each is not run until it is found out."""

    def __init__(self, planned: Sequence[Criterion]) -> None:
        self._all = {each.name: each for each in planned}

    def __iter__(self) -> Iterator[Criterion]:
        return iter(self._all.values())

    def found(self, name: str, figure: float, note: str, not_shown: str = "") -> None:
        """A figure; whether it meets its threshold follows, unless something is wrong with the figure."""
        planned = self._all[name]
        met: bool | None = figure >= planned.threshold if planned.wants == "at least" else figure <= planned.threshold
        if not_shown:
            met, note = None, not_shown
        self._all[name] = dataclasses.replace(planned, figure=figure, met=met, note=note)

    def not_run(self, why: str, *, model: str | None = None, part: str | None = None) -> None:
        """Of a model, a part, or both: those that nothing is known of."""
        for name, each in self._all.items():
            if each.note == _NOT_REACHED and model in (None, each.model) and part in (None, each.part):
                self._all[name] = dataclasses.replace(each, note=why)

    @property
    def status(self) -> int:
        """Of the command: 0 if all are met, 3 otherwise."""
        return 0 if all(each.met for each in self) else 3


@dataclass(frozen=True)
class Timed:
    """One round of one engine, of the calls in it."""

    median_ms: float
    p90_ms: float
    minimum_ms: float


@dataclass(frozen=True)
class Speed:
    """Ours and the peer in turn, at one number of images and one way."""

    model: str
    way: str
    images: int
    calls: int
    """A round."""
    ours: tuple[Timed, ...]
    peer: tuple[Timed, ...]
    """Empty where it is absent."""

    @property
    def ratio(self) -> float:
        """How many times as long as ours the peer takes: median over the rounds of the quotient of their medians."""
        return statistics.median(b.median_ms / a.median_ms for a, b in zip(self.ours, self.peer, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """With the figures that are quoted: medians over the rounds."""
        data = dataclasses.asdict(self)
        for name, rounds in (("ours", self.ours), ("peer", self.peer)):
            if rounds:
                data[f"{name}_ms"] = statistics.median(each.median_ms for each in rounds)
                data[f"{name}_p90_ms"] = statistics.median(each.p90_ms for each in rounds)
                data[f"{name}_images_per_s"] = 1e3 * self.images / data[f"{name}_ms"]
        if self.peer:
            data["ratio"] = self.ratio
        return data


@dataclass
class Record:
    """One run; what is not known yet is empty."""

    command: str
    date: str
    """UTC, ISO 8601."""
    machine: Machine
    gpu: Mapping[str, str]
    sets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model → where its images come from."""
    engines: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model → its engine, how it was built and how long that took."""
    peer: dict[str, str] = field(default_factory=dict)
    """Versions, or why it is absent."""
    texts: list[Mapping[str, Any]] = field(default_factory=list)
    turned: list[Mapping[str, Any]] = field(default_factory=list)
    speed: list[Speed] = field(default_factory=list)
    other_cores: float | None = None
    """Cores that other programs kept busy while speed was measured, on average."""
    soak: Mapping[str, Any] | None = None
    builds: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """All of it."""

    def to_json(self, criteria: Criteria) -> str:
        """The JSON form, with its version."""
        data: dict[str, Any] = {"suite": SUITE, "version": VERSION, "criteria": []}
        data |= {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        data["machine"] = dataclasses.asdict(self.machine)
        data["speed"] = [each.to_dict() for each in self.speed]
        data["criteria"] = [{**dataclasses.asdict(each), "verdict": each.verdict} for each in criteria]
        return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def table(criteria: Criteria) -> str:
    """One line a criterion."""
    width = max(len(each.name) for each in criteria)
    lines = []
    for each in criteria:
        figure = "–" if each.figure is None else f"{each.figure:.5g}"
        asked = f"asked: {each.wants} {each.threshold:.4g}"
        lines.append(f"{each.verdict:<7}  {each.name:<{width}}  {figure} {each.what} ({asked}); {each.note}")
    return "\n".join(lines)
