"""A file of results of any kind: a header with command, date, machine and versions, and the figures."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ..board import summary
from ..board.board import Board, board
from ..board.versions import versions
from ..errors import InputError
from ..model.typed import build
from . import bench, form
from .accuracy import Accuracy
from .confidence import ConfidenceStudy
from .decoding import DecodingErrors, DecodingSpeed
from .engines import Engines
from .gpu import Gpu
from .instructions import Instructions
from .throughput import Throughput
from .verification import Verification

Figures: TypeAlias = (
    Verification
    | Accuracy
    | Engines
    | Throughput
    | DecodingSpeed
    | DecodingErrors
    | Instructions
    | Gpu
    | ConfidenceStudy
)

SUITES: Mapping[str, type[Figures | bench.Record]] = {
    kind.SUITE: kind
    for kind in (
        Verification,
        Accuracy,
        Engines,
        Throughput,
        DecodingSpeed,
        DecodingErrors,
        Instructions,
        Gpu,
        ConfidenceStudy,
        bench.Record,
    )
}
"""Suite → the dataclass of its figures."""

_WRITER = "`edge-crnn bench`, `convert`, `verify` or a benchmark"
_KERNEL = re.compile(r"Linux-(.+)-(?:x86_64|aarch64|armv7l)\b")


@dataclass(frozen=True)
class Machine:
    """The machine in records of edge-crnn 0.5.0; newer records hold a `Board` instead."""

    cpu: str
    flags: tuple[str, ...]
    cores: int
    system: str
    python: str
    versions: Mapping[str, str]

    @property
    def facts(self) -> dict[str, str]:
        """Name of a fact → its value, with the same names as for a `Board`."""
        facts = {
            "processor": self.cpu,
            "cores": str(self.cores),
            "flags": ", ".join(self.flags),
            "platform": self.system,
            "Python": self.python,
            **self.versions,
        }
        kernel = _KERNEL.match(self.system)
        if kernel:
            facts["kernel"] = kernel[1]
        return facts


@dataclass(frozen=True)
class Header:
    """The origin of the figures in a record."""

    command: str
    date: str
    """UTC, ISO 8601."""
    board: Board | None = None
    """None: the record has a `machine`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version."""
    model: str = ""
    """Name of the trained model."""
    source_sha256: str = ""
    """SHA-256 of the trained model's file; empty where it does not matter, or where every artifact has its own."""
    images_are: str = ""
    """Description of the images, such as rendered plates; empty if unknown."""
    machine: Machine | None = None
    """Set only in records of edge-crnn 0.5.0."""


@dataclass(frozen=True)
class Record:
    """A file of results."""

    header: Header
    figures: Figures | bench.Record
    origin: str = ""
    """Name of the file."""

    @property
    def board_name(self) -> str:
        """Name of the machine for people, with the GPU if the GPU was measured."""
        header = self.header
        if header.board is not None:
            name = summary.name(header.board)
        else:
            assert header.machine is not None  # `from_json` guarantees it
            name = f"{header.machine.cpu}, {summary.counted_cores(header.machine.cores)}"
        if isinstance(self.figures, Gpu):
            return f"{name}, {self.figures.gpu.get('name', 'unknown GPU')}"
        return name

    @property
    def facts(self) -> dict[str, str]:
        """Name of a fact → its value: facts that distinguish machines, the owner's settings, and versions."""
        header = self.header
        figures = self.figures
        facts = summary.facts(header.board) if header.board is not None else {}
        facts |= header.versions
        if header.machine is not None:
            facts |= header.machine.facts
        if isinstance(figures, Gpu):
            facts |= {f"GPU: {name}": value for name, value in figures.gpu.items()}
        if isinstance(figures, bench.Record):
            facts |= figures.settings
        return facts

    def to_json(self) -> str:
        """Return the content of the file, without empty fields of the header."""
        header = {name: value for name, value in vars(self.header).items() if value}
        suite = {"suite": self.figures.SUITE, "version": self.figures.VERSION}
        return form.dumps({**suite, **header, **form.plain(self.figures)})


def header_here(
    packages: Sequence[str],
    *,
    command: str | None = None,
    model: str = "",
    source_sha256: str = "",
    images_are: str = "",
) -> Header:
    """Return the header for measurements of this process.

    Args:
        packages: the packages whose versions matter.
        command: the command line; None: `edge-crnn` with the arguments of this process.
        model: name of the trained model.
        source_sha256: SHA-256 of the trained model's file.
        images_are: description of the images; empty if unknown.
    """
    return Header(
        command=shlex.join(["edge-crnn", *sys.argv[1:]]) if command is None else command,
        date=form.now(),
        board=board(),
        versions=versions(packages),
        model=model,
        source_sha256=source_sha256,
        images_are=images_are,
    )


def load_record(path: Path) -> Record:
    """Read a file of results of any kind.

    Raises:
        InputError: the file cannot be read, or the cases of `from_json`.
    """
    return from_json(form.read(path, _WRITER), str(path))


def from_json(text: str | bytes, origin: str) -> Record:
    """Read the content of a file of results of any kind.

    Raises:
        InputError: the text holds no results, an unknown version of them, or figures that cannot be true.
    """
    data = form.parse(text, origin, {suite: kind.VERSION for suite, kind in SUITES.items()}, _WRITER)
    kind = SUITES[data["suite"]]
    header = build(Header, data, origin, InputError, open_ended=True)
    if header.board is None and header.machine is None:
        raise InputError(f"{origin}: found neither 'board' nor 'machine', expected one of them; measure again")
    figures = build(kind, data, origin, InputError, open_ended=True)
    if isinstance(figures, bench.Record):
        bench.check(figures, origin)
    elif not figures.is_possible():
        raise InputError(
            f"{origin}: found a count, time or image that is impossible; the file is damaged: measure again"
        )
    return Record(header, figures, Path(origin).name)
