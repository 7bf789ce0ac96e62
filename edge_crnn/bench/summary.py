"""The summary of a result, computed from the record alone."""

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
"""Shares of the percentiles that are shown."""

TOTAL = "total"
"""Name of all stages together: from the file to its text or, for a camera, from a frame's arrival to its text."""

_TIMED_ALONE = ("single", "camera")
"""Scenarios in which the time of an image counts; in the others, the number of images per second counts."""


@dataclass(frozen=True)
class Percentile:
    """A percentile of measured times."""

    share: float
    ms: float
    interval_ms: Interval | None
    """95 % interval; None: there are too few measurements to bound it."""


@dataclass(frozen=True)
class Summary:
    """The figures that describe a result."""

    images: int
    dropped: int
    late: int
    """Frames whose reading ended after the next frame arrived."""
    per_second: float
    """Images read, in the time of all rounds."""
    processor_ms: float
    """Processor time of an image, all threads."""
    collections: int
    """Runs of Python's garbage collector."""
    percentiles: Mapping[str, tuple[Percentile, ...]]
    """`TOTAL` and each stage → its percentiles; empty where images are read at once."""
    cost_ms: float
    """Median over the rounds of `costs_ms`, by which artifacts are compared."""
    watts: float | None
    """Power that the board measured meanwhile; None: it has no sensor."""
    joules: float | None
    """Energy of an image, including the power that the board takes at rest."""


def summarise(result: Result) -> Summary:
    """Compute the summary of a result."""
    rounds = [measured.round for measured in result.rounds]
    images = sum(played.images for played in rounds)
    elapsed = sum(played.elapsed_ns for played in rounds)
    columns = stage_times(rounds)
    fps = result.scenario.fps
    powers = [(_watts(measured), measured.round.elapsed_ns) for measured in result.rounds]
    measured_powers = [(watts, ns) for watts, ns in powers if watts is not None]
    power = (
        sum(watts * ns for watts, ns in measured_powers) / sum(ns for _, ns in measured_powers)
        if measured_powers
        else None
    )
    return Summary(
        images=images,
        dropped=sum(played.dropped for played in rounds),
        late=0 if fps is None else int((columns[TOTAL] > 1e9 / fps).sum()),
        per_second=images * 1e9 / elapsed,
        processor_ms=sum(played.processor_ns for played in rounds) / images / 1e6,
        collections=sum(played.collections for played in rounds),
        percentiles={stage: percentiles(times) for stage, times in columns.items()},
        cost_ms=statistics.median(costs_ms(result)),
        watts=power,
        joules=None if power is None else power * elapsed / 1e9 / images,
    )


def stage_times(rounds: Sequence[Round]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the nanoseconds of each image of all rounds, for `TOTAL` and each stage; empty without stages."""
    columns = {
        stage: np.concatenate([np.asarray(played.stages[stage], np.int64) for played in rounds])
        for stage in rounds[0].stages
    }
    return {TOTAL: np.sum(list(columns.values()), axis=0), **columns} if columns else {}


def percentiles(times: npt.NDArray[np.int64]) -> tuple[Percentile, ...]:
    """Return the percentile for each of `SHARES`, from times in nanoseconds, (N,) int64."""
    bounded = []
    for share in SHARES:
        interval = quantile_interval(times, share)
        bounds = None if interval is None else (interval[0] / 1e6, interval[1] / 1e6)
        bounded.append(Percentile(share, quantile(times, share) / 1e6, bounds))
    return tuple(bounded)


def costs_ms(result: Result) -> list[float]:
    """Return the cost of an image in each round, in milliseconds.

    It is the median of the times, or, where images are read in parallel, the time of the round divided by its images.
    """
    rounds = [measured.round for measured in result.rounds]
    if result.scenario.kind in _TIMED_ALONE:
        return [float(np.median(stage_times([played])[TOTAL])) / 1e6 for played in rounds]
    return [played.elapsed_ns / played.images / 1e6 for played in rounds]


def _watts(measured: Measured) -> float | None:
    """Return the mean power during a round, in watts; None if unknown."""
    first, *between, last = measured.snapshots
    if first.power is not None and last.power is not None:
        taken = joules(first.power, last.power)
        seconds = _seconds(first, last)
        if taken is not None and seconds > 0:
            return taken / seconds
    # The first and the last snapshot show a machine at rest.
    powers = [snapshot.power for snapshot in between if snapshot.power is not None]
    watts = [power.watts for power in powers if power.watts is not None]
    return statistics.fmean(watts) if watts else None


def _seconds(first: Snapshot, last: Snapshot) -> float:
    return (datetime.fromisoformat(last.taken_at) - datetime.fromisoformat(first.taken_at)).total_seconds()
