"""What a measurement leaves behind: figures, and what must be known to judge them."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_crnn.bench.contention import QUIET
from edge_crnn.files import write_atomically
from edge_crnn.model.spec import Parity

from .peers.rounds import Round

VERSION = 1
"""Version of the JSON form. 1: the first."""

REFERENCE = "Keras"
"""Name of the engine whose readings the others are held to."""

_PACKAGES = ("ai-edge-litert", "keras", "nncf", "numpy", "onnx", "onnxruntime", "openvino", "tensorflow")
_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Timing:
    """One engine at one number of threads."""

    engine: str
    ours: bool
    note: str
    file_bytes: int
    first_ms: float
    """Opening the file and the first inference, with the import of the engine."""
    rounds: tuple[Round, ...]
    parity: Parity | None
    """Against the reference; None where it is absent."""

    @property
    def ms(self) -> float:
        """Median over the rounds of each round's median."""
        return statistics.median(each.median_ms for each in self.rounds)

    @property
    def minimum_ms(self) -> float:
        """The fastest call of all."""
        return min(each.minimum_ms for each in self.rounds)

    @property
    def processor_ms(self) -> float:
        """Processor time a call, all threads; median over the rounds."""
        return statistics.median(each.processor_ms for each in self.rounds)

    @property
    def passes(self) -> bool:
        """Ours, and not shown to read anything else than the reference."""
        return self.ours and self.parity is not None and self.parity.verdict != "fail"


@dataclass(frozen=True)
class Run:
    """All engines at one number of threads."""

    threads: int
    load_before: tuple[float, float, float]
    """Load average over 1, 5 and 15 minutes."""
    load_after: tuple[float, float, float]
    other_cores: float
    """Cores that other programs kept busy meanwhile, on average; see `contention`."""
    timings: tuple[Timing, ...]
    absent: dict[str, str]
    """Engine → why it was not measured."""

    @property
    def quiet(self) -> bool:
        """Whether the figures are worth quoting."""
        return self.other_cores <= QUIET

    @property
    def best(self) -> Timing | None:
        """Our fastest that passes."""
        return min((each for each in self.timings if each.passes), key=lambda each: each.ms, default=None)

    @property
    def fastest_peer(self) -> Timing | None:
        """The fastest that is not ours, the reference among them."""
        return min((each for each in self.timings if not each.ours), key=lambda each: each.ms, default=None)

    @property
    def reference(self) -> Timing | None:
        """What the trained model's own framework takes."""
        return next((each for each in self.timings if each.engine == REFERENCE), None)


@dataclass(frozen=True)
class Machine:
    """What the figures hold for."""

    cpu: str
    flags: tuple[str, ...]
    """Those of the instruction sets that matter to int8."""
    cores: int
    system: str
    python: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Record:
    """One measurement."""

    command: str
    date: str
    """UTC, ISO 8601."""
    machine: Machine
    model: str
    """Name of the trained model."""
    source_sha256: str
    """Of the trained model's file."""
    images_are: str
    """What they are, such as rendered plates; empty if nobody said."""
    calls: int
    """Timed calls a round."""
    runs: tuple[Run, ...]

    def to_json(self) -> str:
        """The JSON form, with its version; each timing also has its `ms` and `processor_ms`."""
        data = {"suite": "edge-crnn engines", "version": VERSION, **dataclasses.asdict(self)}
        for run, written in zip(self.runs, data["runs"], strict=True):
            for timing, fields in zip(run.timings, written["timings"], strict=True):
                fields.update(ms=timing.ms, processor_ms=timing.processor_ms)
        return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def typed(module: str, words: Sequence[str] | None = None) -> str:
    """What was typed to run a benchmark; without words, those of this process."""
    return f"python -m benchmarks.{module} {shlex.join(sys.argv[1:] if words is None else words)}".rstrip()


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def save(path: Path, suite: str, version: int, command: str, found: Mapping[str, Any]) -> None:
    """Write what a benchmark found as JSON, with what was run, when, and on which machine."""
    record = {
        "suite": suite,
        "version": version,
        "command": command,
        "date": now(),
        "machine": dataclasses.asdict(machine()),
        **found,
    }
    write_atomically(path, (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode())


def machine() -> Machine:
    """Of this process."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    text = _CPUINFO.read_text(encoding="utf-8", errors="replace") if _CPUINFO.exists() else ""
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return Machine(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        flags=tuple(flag for flag in _FLAGS if flag in flags),
        cores=len(os.sched_getaffinity(0)),
        system=platform.platform(),
        python=platform.python_version(),
        versions=versions,
    )


def table(run: Run) -> str:
    """The run as a table in Markdown, fastest first, with what is absent, and why, below it."""
    best, reference = run.best, run.reference
    rows = [
        ("engine", "ms", "min", "processor ms", "to our best", "Keras to it", "same text", "right", "verdict", "MB")
    ]
    for timing in sorted(run.timings, key=lambda each: each.ms):
        parity = timing.parity
        rows.append(
            (
                timing.engine,
                f"{timing.ms:.2f}",
                f"{timing.minimum_ms:.2f}",
                f"{timing.processor_ms:.2f}",
                f"{timing.ms / best.ms:.2f}" if best else "–",
                f"{reference.ms / timing.ms:.1f}" if reference else "–",
                f"{sum(each.same_text for each in parity.sets)}/{parity.images}" if parity else "–",
                str(sum(each.artifact_right for each in parity.sets)) if parity else "–",
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
    """The ratios that count, in one line."""
    best, peer, reference = run.best, run.fastest_peer, run.reference
    if best is None or peer is None:
        return "No artifact of ours passes, or no peer is there: nothing to compare."
    claims = []
    if peer is not reference:
        claims.append(f"takes {best.ms / peer.ms:.2f} times as long as the fastest peer, {peer.engine}")
    if reference is not None:
        claims.append(f"is {reference.ms / best.ms:.1f} times as fast as {reference.engine}")
    line = f"{best.engine} {', and '.join(claims)}"
    if not run.quiet:
        line += f". Not to be quoted: other programs kept {run.other_cores:.1f} cores busy meanwhile"
    return f"{line}."


def _heading(run: Run) -> str:
    before, after = run.load_before[0], run.load_after[0]
    threads = f"{run.threads} thread{'s' * (run.threads > 1)}"
    return f"{threads}, load average {before:.1f} to {after:.1f}, {run.other_cores:.2f} cores busy with other programs:"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = (
            cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(f"| {' | '.join((first, *others))} |")
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [lines[0], f"| {' | '.join(rule)} |", *lines[1:]]
