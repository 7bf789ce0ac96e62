"""A run of several engines as a table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edge_crnn.bench.contention import QUIET
from edge_crnn.records.engines import Run


def table(run: Run) -> str:
    """Return the run as a table in Markdown, fastest first, followed by the absent engines and the reasons."""
    best, reference = run.best, run.reference
    rows = [
        ("engine", "ms", "min", "processor ms", "to our best", "Keras to it", "same text", "correct", "verdict", "MB")
    ]
    for timing in sorted(run.timings, key=lambda timing: timing.ms):
        parity = timing.parity
        rows.append(
            (
                timing.engine,
                f"{timing.ms:.2f}",
                f"{timing.minimum_ms:.2f}",
                f"{timing.processor_ms:.2f}",
                f"{timing.ms / best.ms:.2f}" if best else "–",
                f"{reference.ms / timing.ms:.1f}" if reference else "–",
                f"{sum(folder.same_text for folder in parity.sets)}/{parity.images}" if parity else "–",
                str(sum(folder.artifact_right for folder in parity.sets)) if parity else "–",
                parity.verdict if parity else "–",
                f"{timing.file_bytes / 1e6:.1f}",
            )
        )
    lines = [_heading(run), "", *_aligned(rows)]
    notes = [f"{timing.engine}: {timing.note}." for timing in run.timings if timing.note]
    lines += ["", *notes] if notes else []
    lines += [f"Absent: {name} ({reason})." for name, reason in run.absent.items()]
    return "\n".join([*lines, "", summary(run)])


def summary(run: Run) -> str:
    """Return the main ratios in a line."""
    best, peer, reference = run.best, run.fastest_peer, run.reference
    if best is None or peer is None:
        return "Nothing to compare: none of our artifacts passes, or no peer is installed."
    claims = []
    if peer is not reference:
        claims.append(f"takes {best.ms / peer.ms:.2f} times as long as the fastest peer, {peer.engine}")
    if reference is not None:
        claims.append(f"is {reference.ms / best.ms:.1f} times as fast as {reference.engine}")
    line = f"{best.engine} {', and '.join(claims)}"
    if run.other_cores > QUIET:
        line += f". Do not quote these times: other programs kept {run.other_cores:.1f} cores busy"
    return f"{line}."


def _heading(run: Run) -> str:
    before, after = run.load_before[0], run.load_after[0]
    threads = f"{run.threads} thread{'s' * (run.threads > 1)}"
    return f"{threads}, load average {before:.1f} to {after:.1f}, {run.other_cores:.2f} cores busy with other programs:"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *figures in rows:
        cells = [name.ljust(widths[0])]
        cells += [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [lines[0], f"| {' | '.join(rule)} |", *lines[1:]]
