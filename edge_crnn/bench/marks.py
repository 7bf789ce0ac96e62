"""Warnings about a result, shown beside its figures and checked before it is compared with another."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..board.snapshot import Snapshot
from ..records.bench import Record, Result, Scenario
from .contention import QUIET
from .summary import costs_ms

EQUAL = 0.05
"""The largest relative difference between two measurements of the same artifact in one run that is not noise."""


def throttled(result: Result) -> tuple[str, ...]:
    """Return the distinct reasons why the machine slowed itself down during the measurement."""
    snapshots = [snapshot for measured in result.rounds for snapshot in measured.snapshots]
    reasons = [reason for snapshot in snapshots if snapshot.throttling for reason in snapshot.throttling.now]
    for before, after in pairwise(snapshots):
        reasons += _begun(before, after)
    return tuple(dict.fromkeys(reasons))


def busy(result: Result) -> str | None:
    """Return a message if other programs kept too many cores busy during the measurement, else None."""
    others = result.other_cores
    return None if others is None or others <= QUIET else f"other programs kept {others:.1f} cores busy"


def difference(record: Record, result: Result) -> float | None:
    """Return the relative difference between `result` and its control; None if it has no control."""
    twin = _twin(record, result)
    return None if twin is None else abs(statistics.median(costs_ms(twin)) / statistics.median(costs_ms(result)) - 1)


def noise(record: Record, scenario: Scenario) -> float:
    """Return the largest relative difference between an artifact and its control in a scenario; 0 without controls."""
    results = (result for result in record.results if result.scenario == scenario)
    return max((difference(record, result) or 0.0 for result in results), default=0.0)


def marks(record: Record, result: Result) -> tuple[str, ...]:
    """Return every warning about a result, one sentence each."""
    return tuple(_marks(record, result))


def _marks(record: Record, result: Result) -> Iterator[str]:
    slowed = throttled(result)
    others = busy(result)
    if slowed:
        yield f"throttled: {', '.join(slowed)}; improve cooling or power supply, and measure again"
    apart = difference(record, result)
    if apart is not None and apart > EQUAL:
        reasons = [*(["it was throttled"] if slowed else []), *([others] if others else []), *_clocks(result)]
        yield (
            f"noisy: the same artifact measured twice differs by {apart:.1%}, more than {EQUAL:.0%};"
            f" {', and '.join(reasons) or 'the reason is unknown; use more rounds'}"
        )
    elif others:
        yield f"busy: {others}"


def _twin(record: Record, result: Result) -> Result | None:
    artifact = record.artifacts[result.artifact]
    if artifact.control:
        return None
    for other in record.results:
        candidate = record.artifacts[other.artifact]
        same = candidate.payload_sha256 == artifact.payload_sha256 and candidate.path == artifact.path
        if candidate.control and same and other.scenario == result.scenario:
            return other
    return None


def _clocks(result: Result) -> list[str]:
    governors = dict.fromkeys(
        governor
        for measured in result.rounds
        for snapshot in measured.snapshots
        for governor in snapshot.clocks.governors
    )
    moving = [governor for governor in governors if governor != "performance"]
    return [f"the governor {' and '.join(moving)} changes the clocks"] if moving else []


def _begun(before: Snapshot, after: Snapshot) -> Sequence[str]:
    """Return the reasons that occurred between two snapshots and not before."""
    if before.throttling is None or after.throttling is None:
        return ()
    counts = before.throttling.counts
    counted = [word for word, count in after.throttling.counts.items() if count > counts.get(word, 0)]
    occurred = [word for word in after.throttling.occurred if word not in before.throttling.occurred]
    return [*occurred, *counted]
