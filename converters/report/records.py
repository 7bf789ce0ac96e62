"""JSON files → records. Each says what it is in `suite` and `version`; nothing is guessed from its shape."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_crnn.board.board import Board
from edge_crnn.errors import InputError
from edge_crnn.model.spec import Parity
from edge_crnn.model.typed import build
from edge_crnn.records import bench

from ..verify.detail import Detail
from .suites import (
    Accuracy,
    Body,
    DecodingErrors,
    DecodingSpeed,
    Engines,
    Gpu,
    Instructions,
    Machine,
    Throughput,
    Trust,
    Verification,
)

_MAX_BYTES = 1 << 30
_MOST_IMAGES = 10_000_000
_MOST_MS = 1e9
_MOST_INSTRUCTIONS = 10**15
_KERNEL = re.compile(r"Linux-(.+)-(?:x86_64|aarch64|armv7l)\b")
_PICTURE = re.compile(r"data:image/(png|jpeg|webp|bmp);base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)


@dataclass(frozen=True)
class Record:
    """One file."""

    origin: str
    command: str
    date: str
    """UTC, ISO 8601."""
    board: str
    """What people call the machine."""
    facts: Mapping[str, str]
    """What tells machines apart, and the versions at work."""
    body: Body
    model: str = ""
    """Name of the trained model."""
    source_sha256: str = ""
    """Of its file; empty where it does not matter, or is told for each artifact."""
    images: str = ""
    """What the images are, such as rendered plates; empty if nobody said."""


@dataclass(frozen=True)
class _Header:
    command: str
    date: str
    machine: Machine | None = None
    board: Board | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    source_sha256: str = ""
    images_are: str = ""


VERIFY_SUITE = "edge-crnn verify"
SUITES: Mapping[str, tuple[type[Any], int]] = {
    VERIFY_SUITE: (Verification, 1),
    "edge-crnn accuracy": (Accuracy, 1),
    "edge-crnn engines": (Engines, 1),
    "edge-crnn throughput": (Throughput, 1),
    "edge-crnn decoding speed": (DecodingSpeed, 1),
    "edge-crnn decoding errors": (DecodingErrors, 1),
    "edge-crnn instructions": (Instructions, 1),
    "edge-crnn gpu_check": (Gpu, 1),
    "edge-crnn confidence": (Trust, 1),
    bench.SUITE: (bench.Record, bench.VERSION),
}
"""Suite → what its files hold, and the version of their form that is read."""


def load_record(path: Path) -> Record:
    """Read one file.

    Raises:
        InputError: it cannot be read, is none of these, of another version, or damaged.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes, expected at most {_MAX_BYTES:,}; name another")
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a JSON file of results") from error
    return from_json(text, str(path))


def from_json(text: str | bytes, origin: str) -> Record:
    """Read the JSON form of any suite; raises as `load_record`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin}: no JSON ({error}); name a file of results") from error
    suite = data.get("suite") if isinstance(data, dict) else None
    if not isinstance(suite, str) or suite not in SUITES:
        raise InputError(f"{origin}: suite {suite!r} is not known; known are {', '.join(SUITES)}"[:500])
    cls, version = SUITES[suite]
    if data.get("version") != version:
        raise InputError(
            f"{origin}: version {data.get('version')!r} of {suite!r}, this edge-crnn reads {version}; update it or"
            " measure again"
        )
    header = build(_Header, data, origin, InputError, open_ended=True)
    body = (
        bench.Record.from_json(text, origin)
        if cls is bench.Record
        else build(cls, data, origin, InputError, open_ended=True)
    )
    _check(body, origin)
    if header.machine is not None:
        board, facts = _of_machine(header.machine)
        if isinstance(body, Gpu):
            board = f"{board}, {body.gpu.get('name', 'a GPU')}"
            facts.update({f"GPU: {name}": value for name, value in body.gpu.items()})
    elif header.board is not None:
        board, facts = _of_board(header.board, header.versions)
        facts.update(_settings(body))
    else:
        raise InputError(f"{origin}: neither a board nor a machine is told of; measure again")
    return Record(
        origin=Path(origin).name,
        command=header.command,
        date=header.date,
        board=board,
        facts=facts,
        body=body,
        model=header.model,
        source_sha256=header.source_sha256,
        images=header.images_are,
    )


def _of_machine(machine: Machine) -> tuple[str, dict[str, str]]:
    facts = {
        "processor": machine.cpu,
        "cores": str(machine.cores),
        "flags": ", ".join(machine.flags),
        "platform": machine.system,
        "Python": machine.python,
        **machine.versions,
    }
    kernel = _KERNEL.match(machine.system)
    if kernel:
        facts["kernel"] = kernel[1]
    return f"{machine.cpu}, {_cores(machine.cores)}", facts


def _of_board(board: Board, versions: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    cpu = board.cpu
    told: dict[str, object] = {
        "board": board.model,
        "SoC": board.soc,
        "processor": cpu.name,
        "cores": cpu.cores,
        "instruction sets": ", ".join(cpu.features) or None,
        "memory": None if board.memory_bytes is None else f"{board.memory_bytes / (1 << 30):.1f} GiB",
        "system": board.os,
        "kernel": board.kernel,
        "JetPack": board.jetpack,
        "Jetson Linux": board.l4t,
        "virtual machine of": board.virtual,
        "container": board.container,
        "Python": board.python.removeprefix("CPython "),
        **versions,
    }
    facts = {name: str(value) for name, value in told.items() if value is not None}
    if board.kind in ("raspberry-pi", "jetson") and board.model:
        return board.model, facts
    name = cpu.name or board.model or "a machine"
    return f"{name}, {_cores(cpu.cores)}" if cpu.cores else name, facts


def _settings(body: Body) -> dict[str, str]:
    """What a figure of a device depends on, and an owner may set."""
    if not isinstance(body, bench.Record) or not body.results:
        return {}
    first = body.results[0].rounds[0].snapshots[0]
    told = {"governor": ", ".join(first.clocks.governors)}
    if first.power_mode is not None:
        told["power mode"] = first.power_mode.name or str(first.power_mode.number)
    return {name: value for name, value in told.items() if value}


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count != 1)}"


def _check(body: Body, origin: str) -> None:
    """What the types do not say; each is needed by a picture or a quotient."""
    checks: dict[type, Callable[[Any], bool]] = {
        Verification: lambda found: (
            bool(found.artifacts)
            and all(not each.picture or _PICTURE.fullmatch(each.picture) for each in (*found.changes, *found.sample))
        ),
        Accuracy: lambda found: bool(found.recipes) and all(found.recipes.values()),
        Engines: lambda found: all(
            0 < each.ms < _MOST_MS
            and each.rounds
            and all(0 < one.minimum_ms <= _MOST_MS and 0 < one.median_ms < _MOST_MS for one in each.rounds)
            for run in found.runs
            for each in run.timings
        ),
        Throughput: lambda found: (
            all(pairs and all(min(pair) > 0 for pair in pairs) for pairs in found.rounds.values())
            and found.ratios.keys() == found.rounds.keys()
        ),
        DecodingSpeed: lambda found: all(each.ms > 0 and each.batch > 0 for each in found.speeds),
        DecodingErrors: lambda found: (
            0 < found.images <= _MOST_IMAGES and all(0 <= each <= found.images for each in found.errors.values())
        ),
        Instructions: lambda found: all(
            0 <= count < _MOST_INSTRUCTIONS for each in found.counts for count in vars(each.instructions).values()
        ),
        Gpu: lambda found: all(
            0 < each.images <= _MOST_IMAGES
            and each.ours
            and all(0 < one.median_ms < _MOST_MS for one in (*each.ours, *each.peer))
            for each in found.speed
        ),
        Trust: lambda found: (
            bool(found.judged)
            and found.fit.images > 0
            and all(0 <= each.right <= each.accepted <= found.fit.images for each in found.fit.coverage)
            and all(
                0 <= one.confidence <= 1 and 0 <= one.right <= 1 for each in found.judged for one in each.reliability
            )
            and all(0 <= each.right <= each.accepted <= each.images for each in found.outcomes)
            and all(0 <= each.rejected <= each.pictures <= _MOST_IMAGES and each.pictures for each in found.rejections)
            and all(len(each.coverage) == len(found.targets) for each in found.rankings)
        ),
    }
    if (
        not checks.get(type(body), lambda _: True)(body)
        or not all(map(_counts, _parities(body)))
        or not all(map(_adds_up, _details(body)))
    ):
        raise InputError(
            f"{origin}: what it holds cannot be: a count, a time or a picture; it is damaged: measure again"
        )


def _counts(parity: Parity) -> bool:
    low, high = parity.accuracy_change_interval or (0, 0)
    if not (0 <= parity.gate_agreement <= 1 and 0 <= parity.gate_accuracy <= 100 and -100 <= low <= high <= 100):
        return False
    return bool(parity.sets) and all(
        0 <= each.same_where_right <= each.reference_right <= each.images
        and 0 <= each.artifact_right <= each.images
        and 0 <= each.same_text <= each.images
        and 0 < each.images <= _MOST_IMAGES
        for each in parity.sets
    )


def _parities(body: Body) -> list[Parity]:
    if isinstance(body, Verification):
        return [each.parity for each in body.artifacts]
    if isinstance(body, Accuracy):
        return [each for folders in body.recipes.values() for each in folders.values()]
    if isinstance(body, Engines):
        return [each.parity for run in body.runs for each in run.timings if each.parity is not None]
    return []


def _adds_up(detail: Detail) -> bool:
    return sum(each.symbols for each in detail.errors) > 0 and all(
        0 <= count <= _MOST_IMAGES for each in detail.errors for count in (each.symbols, each.reference, each.artifact)
    )


def _details(body: Body) -> list[Detail]:
    if isinstance(body, Verification):
        return [each.detail for each in body.artifacts if each.detail is not None]
    if isinstance(body, Accuracy):
        return [each for folders in body.details.values() for each in folders.values()]
    return []
