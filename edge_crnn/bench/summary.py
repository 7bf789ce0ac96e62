"""A result in few numbers; all of them are computed from the record."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from ..binomial import Interval
from ..board.power import joules
from ..board.snapshot import Snapshot
from ..records.bench import Measured, Result, Round
from .statistics import quantile, quantile_interval

SHARES = (0.50, 0.90, 0.99)
"""Of the percentiles that are told."""

TOTAL = "total"
"""All stages together: from file to text; of a camera, from a frame's arrival to its text."""

_TIMED_ALONE = ("single", "camera")
"""Scenarios in which the time of an image counts; in the others it is how many are read in a time."""


@dataclass(frozen=True)
class Percentile:
    """A percentile of what was measured."""

    share: float
    ms: float
    interval_ms: Interval | None
    """95 %; None: the measurements are too few to bound it."""


@dataclass(frozen=True)
class Summary:
    """A result in few numbers."""

    images: int
    dropped: int
    late: int
    """Frames that were read later than the next one came."""
    per_second: float
    """Images read, in the time of all rounds."""
    processor_ms: float
    """Of an image, all threads."""
    collections: int
    """Of Python's garbage collector."""
    percentiles: Mapping[str, tuple[Percentile, ...]]
    """`TOTAL` and each stage → its percentiles; empty where images are read at once."""
    cost_ms: float
    """What artifacts are compared by: the median over the rounds of `cost_ms`."""
    watts: float | None
    """Of what the board measures, while it read; None: it measures nothing."""
    joules: float | None
    """For each image that was read; what the board takes at rest is in it."""


def summarise(result: Result) -> Summary:
    """The numbers of a result."""
    rounds = [measured.round for measured in result.rounds]
    images, elapsed = sum(each.images for each in rounds), sum(each.elapsed_ns for each in rounds)
    columns = stage_times(rounds)
    fps = result.scenario.fps
    watts = [(told, each.round.elapsed_ns) for each in result.rounds if (told := _watts(each)) is not None]
    power = sum(told * ns for told, ns in watts) / sum(ns for _, ns in watts) if watts else None
    return Summary(
        images=images,
        dropped=sum(each.dropped for each in rounds),
        late=0 if fps is None else int((columns[TOTAL] > 1e9 / fps).sum()),
        per_second=images * 1e9 / elapsed,
        processor_ms=sum(each.processor_ns for each in rounds) / images / 1e6,
        collections=sum(each.collections for each in rounds),
        percentiles={stage: percentiles(times) for stage, times in columns.items()},
        cost_ms=statistics.median(costs_ms(result)),
        watts=power,
        joules=None if power is None else power * elapsed / 1e9 / images,
    )


def stage_times(rounds: Sequence[Round]) -> dict[str, npt.NDArray[np.int64]]:
    """`TOTAL` and each stage → nanoseconds of each image of all rounds."""
    columns = {
        stage: np.concatenate([np.asarray(each.stages[stage], np.int64) for each in rounds])
        for stage in rounds[0].stages
    }
    return {TOTAL: np.sum(list(columns.values()), axis=0), **columns} if columns else {}


def percentiles(times: npt.NDArray[np.int64]) -> tuple[Percentile, ...]:
    """Of nanoseconds, in milliseconds."""
    found = []
    for share in SHARES:
        interval = quantile_interval(times, share)
        bounds = None if interval is None else (interval[0] / 1e6, interval[1] / 1e6)
        found.append(Percentile(share, quantile(times, share) / 1e6, bounds))
    return tuple(found)


def costs_ms(result: Result) -> list[float]:
    """What an image cost in each round: the median of its time; where many are read side by side, time by images."""
    rounds = [measured.round for measured in result.rounds]
    if result.scenario.kind in _TIMED_ALONE:
        return [float(np.median(stage_times([each])[TOTAL])) / 1e6 for each in rounds]
    return [each.elapsed_ns / each.images / 1e6 for each in rounds]


def _watts(measured: Measured) -> float | None:
    """On average while the round lasted."""
    first, *between, last = measured.snapshots
    if first.power is not None and last.power is not None:
        taken, seconds = joules(first.power, last.power), _seconds(first, last)
        if taken is not None and seconds > 0:
            return taken / seconds
    # The moments before and after are those of a machine at rest.
    told = [each.power.watts for each in between if each.power is not None and each.power.watts is not None]
    return statistics.fmean(told) if told else None


def _seconds(first: Snapshot, last: Snapshot) -> float:
    return (datetime.fromisoformat(last.taken_at) - datetime.fromisoformat(first.taken_at)).total_seconds()
