"""Tables of a record and of a comparison, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..board.snapshot import Snapshot
from ..board.summary import line
from ..records.bench import STAGES, Measured, Opened, Record, Result
from ..rounding import three_digits
from .compare import METHOD, Comparison
from .marks import EQUAL, difference, marks
from .statistics import MLPERF, fewest, steady_after
from .summary import SHARES, TOTAL, Percentile, Summary, summarise


def table(record: Record) -> str:
    """Return the whole record as text."""
    lines = [*_machine(record), ""]
    for place, artifact in enumerate(record.artifacts):
        if artifact.control:
            continue
        lines += _opened(artifact)
        for result in record.results:
            if result.artifact == place:
                lines += ["", *_result(record, result)]
        lines.append("")
    return "\n".join([*lines, *_legend(record)])


def comparison_table(comparisons: Sequence[Comparison], old_name: str) -> str:
    """Return the older and the newer figures side by side."""
    rows = [("artifact and scenario", "then ms", "now ms", "change", "p", "counts from", "verdict")]
    rows += [
        (
            f"{comparison.path}, {comparison.scenario.name}",
            three_digits(comparison.old_ms),
            three_digits(comparison.new_ms),
            f"{comparison.new_ms / comparison.old_ms - 1:+.1%}",
            f"{comparison.p:.2g}",
            f"{comparison.least:.0%}",
            f"{comparison.verdict}: {comparison.why}" if comparison.why else comparison.verdict,
        )
        for comparison in comparisons
    ]
    return "\n".join([f"Compared with {old_name} by {METHOD}:", *_aligned(rows)])


def _machine(record: Record) -> Iterator[str]:
    board = record.board
    yield f"{line(board)}; {record.images.count} images of {record.images.folder}"
    if record.results:
        first = record.results[0].rounds[0].snapshots[0]
        last = record.results[-1].rounds[-1].snapshots[-1]
        yield f"before: {_snapshot(first)}"
        yield f"after:  {_snapshot(last)}"
    yield ", ".join(f"{name} {version}" for name, version in record.versions.items())
    for fact, why in record.absent.items():
        yield f"absent: {fact}: {why}"


def _snapshot(snapshot: Snapshot) -> str:
    facts = [snapshot.taken_at]
    clocks = [core.mhz for core in snapshot.clocks.cores if core.mhz is not None]
    if clocks:
        facts.append(f"{min(clocks):.0f} to {max(clocks):.0f} MHz")
    if snapshot.clocks.governors:
        facts.append(f"governor {', '.join(snapshot.clocks.governors)}")
    if snapshot.clocks.gpu_mhz is not None:
        facts.append(f"GPU {snapshot.clocks.gpu_mhz:.0f} MHz")
    if snapshot.power_mode is not None:
        facts.append(f"power mode {snapshot.power_mode.name or snapshot.power_mode.number}")
    if snapshot.hottest is not None:
        facts.append(f"{snapshot.hottest.celsius:.1f} °C ({snapshot.hottest.name})")
    if snapshot.throttling is not None:
        facts.append(f"throttled now: {', '.join(snapshot.throttling.now) or 'no'}")
    if snapshot.power is not None and snapshot.power.watts is not None:
        facts.append(f"{snapshot.power.watts:.3g} W")
    if snapshot.load is not None:
        facts.append(f"load {snapshot.load[0]:.1f}")
    return "; ".join(facts)


def _opened(artifact: Opened) -> Iterator[str]:
    yield f"{artifact.path}: {artifact.recipe}, {artifact.file_bytes:,} bytes, SHA-256 {artifact.payload_sha256[:12]}…"
    yield f"  {'; '.join((artifact.engine, *artifact.notes))}; {artifact.decoder.method} decoding"
    steady = steady_after(artifact.warm_up_ns)
    settled = "not steady yet" if steady is None else f"steady after {steady}"
    memory = [
        f"{name} {size / 1e6:.0f} MB"
        for name, size in (
            ("before", artifact.rss_before_bytes),
            ("when warm", artifact.rss_bytes),
            ("on the GPU", artifact.gpu_bytes),
        )
        if size is not None
    ]
    loaded, first = (three_digits(ns / 1e6) for ns in (artifact.load_ns, artifact.warm_up_ns[0]))
    yield f"  loaded in {loaded} ms, first image {first} ms, {settled} of {len(artifact.warm_up_ns)} images"
    if memory:
        yield f"  resident memory {', '.join(memory)}"


def _result(record: Record, result: Result) -> Iterator[str]:
    summary = summarise(result)
    rounds = len(result.rounds)
    yield f"  {result.scenario.name}; {rounds} round{'s' * (rounds != 1)}, {summary.images:,} images"
    if summary.percentiles:
        rows = [("ms", *(f"p{share * 100:.0f}" for share in SHARES))]
        rows += [(STAGES[stage], *map(_percentile, percentiles)) for stage, percentiles in summary.percentiles.items()]
        yield from (f"    {line}" for line in _aligned(rows))
    yield f"    {', '.join(_figures(record, result, summary))}"
    if result.scenario.kind == "sustained":
        yield from (f"    {line}" for line in _curve(result))
    yield from (f"    ! {mark}" for mark in marks(record, result))


def _figures(record: Record, result: Result, summary: Summary) -> Iterator[str]:
    yield f"{summary.per_second:.1f} images/s"
    if result.scenario.fps is not None:
        frames = summary.images + summary.dropped
        yield f"{summary.dropped} of {frames} frames dropped, {summary.late} read after the next frame arrived"
    yield f"{three_digits(summary.processor_ms)} ms of processor time per image"
    resident = result.rounds[-1].round.rss_bytes
    if resident is not None:
        yield f"{resident / 1e6:.0f} MB resident"
    if summary.joules is not None:
        yield f"{summary.joules:.3g} J per image at {summary.watts:.3g} W ({_power_source(result)})"
    apart = difference(record, result)
    if apart is not None:
        yield f"the same model again differs by {apart:.1%}"
    if result.other_cores is not None:
        yield f"other programs kept {result.other_cores:.2f} cores busy"
    if summary.collections:
        yield f"garbage collector ran {summary.collections} times"


def _power_source(result: Result) -> str:
    return next(
        (snapshot.power.source for measured in result.rounds for snapshot in measured.snapshots if snapshot.power),
        "unknown",
    )


def _curve(result: Result) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("s", "images/s", "p50 ms", "p99 ms", "MHz", "°C", "W")]
    at = 0.0
    for measured in result.rounds:
        at += measured.round.elapsed_ns / 1e9
        rows.append((f"{at:.0f}", *_moment(result, measured)))
    yield from _aligned(rows)
    first, last = (
        measured.round.images / measured.round.elapsed_ns for measured in (result.rounds[0], result.rounds[-1])
    )
    yield f"ends at {last / first:.1%} of its initial speed"


def _moment(result: Result, measured: Measured) -> tuple[str, ...]:
    summary = summarise(Result(result.artifact, result.scenario, result.board, None, (measured,)))
    after = measured.snapshots[-1]
    clocks = [core.mhz for core in after.clocks.cores if core.mhz is not None]
    p50, _, p99 = summary.percentiles[TOTAL]
    return (
        f"{summary.per_second:.1f}",
        three_digits(p50.ms),
        three_digits(p99.ms),
        f"{max(clocks):.0f}" if clocks else "–",
        f"{after.hottest.celsius:.1f}" if after.hottest else "–",
        "–" if summary.watts is None else f"{summary.watts:.3g}",
    )


def _percentile(percentile: Percentile) -> str:
    if percentile.interval_ms is None:
        return f"{three_digits(percentile.ms)} (too few)"
    low, high = percentile.interval_ms
    return f"{three_digits(percentile.ms)} ({three_digits(low)}–{three_digits(high)})"


def _legend(record: Record) -> Iterator[str]:
    needed = ", ".join(f"{fewest(share)} for p{share * 100:.0f}" for share in SHARES)
    required = "; ".join(
        f"p{share * 100:.0f}: at least {least}, {full:,} for 99 %" for share, (least, full) in MLPERF.items()
    )
    yield f"In brackets: 95 % intervals from order statistics, which need enough readings ({needed})."
    yield f"MLPerf requires more readings ({required})."
    if any(artifact.control for artifact in record.artifacts):
        yield f"The first model was measured twice; a result that differs by more than {EQUAL:.0%} is marked as noisy."
    yield "Images were in the file cache, and Python's garbage collector was on."


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
