"""The header of a benchmark's record, and how a record is written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_crnn.files import write_atomically
from edge_crnn.records.record import Figures, Header, Record, header_here

_PACKAGES = ("ai-edge-litert", "keras", "nncf", "numpy", "onnx", "onnxruntime", "openvino", "tensorflow")


def typed(module: str, words: Sequence[str] | None = None) -> str:
    """Return the command that runs a benchmark with these words, or else with the arguments of this process."""
    return f"python -m benchmarks.{module} {shlex.join(sys.argv[1:] if words is None else words)}".rstrip()


def header(command: str, *, model: str = "", source_sha256: str = "", images_are: str = "") -> Header:
    """Return the header of a benchmark on this machine; see `header_here`."""
    return header_here(_PACKAGES, command=command, model=model, source_sha256=source_sha256, images_are=images_are)


def save(path: Path, about: Header, figures: Figures) -> None:
    """Write a record.

    Raises:
        OutputError: it cannot be written.
        ValueError: a figure is infinite or not a number.
    """
    write_atomically(path, Record(about, figures).to_json().encode())
