"""`edge-crnn doctor`: checks the machine, the installed packages and a model, and shows commands that help."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from .. import __version__
from ..board.board import board
from ..board.snapshot import snapshot
from ..board.tree import ROOT
from ..doctor import machine, software
from ..doctor.check import Check
from ..reader import DEFAULT_MODEL
from ..terminal import printable_json
from .command import Command

_SCHEMA = 1
_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "absent": "2"}
_INDENT = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `doctor`."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="a converted model (default: the built-in model)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text for people, or json with all facts for programs (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Return 0 if the model reads here, else 1."""
    return examine(arguments.model, arguments.format)


def examine(model: Path, format_: str, root: Path = ROOT) -> int:
    """Print every check as soon as it is done, and return the exit status."""
    facts = board(root)
    state = snapshot(root)
    checks = chain(machine.checks(facts, state), software.checks(facts, model, root))
    if format_ == "json":
        done = list(checks)
        reads = not _failed(done)
        report = {
            "version": _SCHEMA,
            "edge_crnn": __version__,
            "model": str(model),
            "reads": reads,
            "checks": [asdict(check) for check in done],
            "board": asdict(facts),
            "snapshot": asdict(state),
        }
        print(printable_json(json.dumps(report, ensure_ascii=False, indent=2)))
        return 0 if reads else 1
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    done = []
    for check in checks:
        done.append(check)
        for line in _lines(check, colour, _width()):
            print(line, flush=True)
    print(f"\n{_verdict(done)}")
    return 1 if _failed(done) else 0


def _failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if check.status == "fail"]


def _width() -> int | None:
    """Return the columns of the terminal; None if lines must not be wrapped."""
    return max(shutil.get_terminal_size().columns, 2 * _INDENT) if sys.stdout.isatty() else None


def _lines(check: Check, colour: bool, width: int | None) -> Iterator[str]:
    mark = f"{'-' if check.status == 'absent' else check.status:<6}"
    if colour:
        mark = f"\033[{_COLOURS[check.status]}m{mark}\033[0m"
    first, *others = textwrap.wrap(check.found, width - _INDENT) if width else [" ".join(check.found.split())]
    yield f"{mark}{check.name:<{_INDENT - 6}}{first}"
    for line in others:
        yield f"{'':<{_INDENT}}{line}"
    if check.fix is not None:  # never wrapped, because users copy it
        yield f"{'':<{_INDENT}}→ {check.fix}"


def _verdict(checks: list[Check]) -> str:
    failed = _failed(checks)
    count = sum(check.status == "warn" for check in checks)
    warnings = f"; {count} warning{'s' * (count > 1)}" if count else ""
    if failed:
        return f"Cannot read here: {', '.join(failed)}{warnings}"
    return f"Ready to read{warnings}"


COMMAND = Command(
    "check what this machine has and lacks",
    add_arguments,
    run,
    details="Tries every engine and reads a sample image. If something is missing, shows the command that installs it.",
    examples=("doctor", "doctor model.onnx"),
)
