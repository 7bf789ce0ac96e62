"""What spoils a result: said beside its figures, and before it is compared with another."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..board.snapshot import Snapshot
from ..records.bench import Record, Result, Scenario
from .contention import QUIET
from .summary import costs_ms

EQUAL = 0.05
"""By how much the same artifact, measured twice in one run, may differ."""


def throttled(result: Result) -> tuple[str, ...]:
    """Why the machine slowed itself down while this was measured, each reason once."""
    snapshots = [each for measured in result.rounds for each in measured.snapshots]
    reasons = [reason for each in snapshots if each.throttling for reason in each.throttling.now]
    for before, after in pairwise(snapshots):
        reasons += _begun(before, after)
    return tuple(dict.fromkeys(reasons))


def busy(result: Result) -> str | None:
    """What other programs took of the machine while this was measured, if that is too much."""
    others = result.other_cores
    return None if others is None or others <= QUIET else f"other programs kept {others:.1f} cores busy"


def difference(record: Record, result: Result) -> float | None:
    """By how much the control of `result` differs from it, as a share; None where it has none."""
    twin = _twin(record, result)
    return None if twin is None else abs(statistics.median(costs_ms(twin)) / statistics.median(costs_ms(result)) - 1)


def noise(record: Record, scenario: Scenario) -> float:
    """By how much an artifact differed from its control in a scenario; 0 where none had one."""
    results = (each for each in record.results if each.scenario == scenario)
    return max((difference(record, each) or 0.0 for each in results), default=0.0)


def marks(record: Record, result: Result) -> tuple[str, ...]:
    """All that speaks against a result, a sentence each."""
    return tuple(_marks(record, result))


def _marks(record: Record, result: Result) -> Iterator[str]:
    slowed, others = throttled(result), busy(result)
    if slowed:
        yield f"throttled: {', '.join(slowed)}; improve cooling or power supply, and measure again"
    apart = difference(record, result)
    if apart is not None and apart > EQUAL:
        reasons = [*(["it was throttled"] if slowed else []), *([others] if others else []), *_clocks(result)]
        yield (
            f"noisy: the same artifact measured twice differs by {apart:.1%}, more than {EQUAL:.0%};"
            f" {', and '.join(reasons) if reasons else 'the reason is unknown; use more rounds'}"
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
        governor for measured in result.rounds for each in measured.snapshots for governor in each.clocks.governors
    )
    moving = [governor for governor in governors if governor != "performance"]
    return [f"the governor {' and '.join(moving)} changes the clocks"] if moving else []


def _begun(before: Snapshot, after: Snapshot) -> Sequence[str]:
    """Reasons that held at some time between two moments, and not before."""
    if before.throttling is None or after.throttling is None:
        return ()
    counts = before.throttling.counts
    counted = [word for word, count in after.throttling.counts.items() if count > counts.get(word, 0)]
    occurred = [word for word in after.throttling.occurred if word not in before.throttling.occurred]
    return [*occurred, *counted]
