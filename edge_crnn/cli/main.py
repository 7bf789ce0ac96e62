"""`edge-crnn COMMAND …`: finds the command, runs it, and turns its end into an exit status.

0 done, 1 an expected failure (one line on stderr, or a headline with a list), 2 bad usage, 3 a verification gate not
met, 130 interrupted, 141 nobody reads the output any more. A defect keeps its traceback.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ..errors import EdgeCrnnError, VerificationError
from .command import Command

_BUILT_IN = {
    "read": ("edge_crnn.cli.read", "read the text in images", "litert,opencv"),
    "serve-folder": ("edge_crnn.cli.serve_folder", "read each image that comes into a folder", "litert,opencv"),
    "calibrate": ("edge_crnn.cli.calibrate", "make confidences say how often they are right", "litert,opencv"),
    "info": ("edge_crnn.cli.info", "show what a model says about itself", "litert"),
    "doctor": ("edge_crnn.cli.doctor", "say what this machine has and lacks, and what to type", "litert"),
    "bench": ("edge_crnn.cli.bench", "measure what reading costs on this machine", "litert,opencv"),
    "train": ("edge_crnn.cli.train", "train a network on labelled or drawn images", "train"),
    "synth": ("edge_crnn.cli.synth", "draw labelled plates", "train"),
}
"""Command → module with a COMMAND, its help, extra with what it imports. Entry points are scanned only for others."""

_GROUP = "edge_crnn.commands"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = _run(name, rest)
        sys.stdout.flush()
    except VerificationError as error:
        return _fail(name, error, 3)
    except EdgeCrnnError as error:
        return _fail(name, error, 1)
    except ModuleNotFoundError as error:
        if (error.name or "edge_crnn").partition(".")[0] in ("edge_crnn", "converters"):
            raise
        extra = _BUILT_IN[name][2] if name in _BUILT_IN else "convert"
        return _fail(name, f"needs {error.name}, which is not installed; pip install 'edge-crnn[{extra}]'", 1)
    except KeyboardInterrupt:
        return _fail(name, "interrupted", 130)
    except OSError as error:  # of the output: nobody reads it any more, or its disk is full
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit does not try to flush again
        return 141 if error.errno == errno.EPIPE else _fail(name, f"cannot write ({error.strerror}); make room", 1)
    return status


def entry() -> None:
    """The console script: `main`, with the engines' own chatter kept off stderr unless EDGE_CRNN_VERBOSE is set."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us, as some daemons do
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the end
        getattr(sys, name).reconfigure(encoding="utf-8", errors="surrogateescape")
    if sys.stderr.fileno() == 2 and not os.environ.get("EDGE_CRNN_VERBOSE"):
        # LiteRT, TensorFlow and OpenCV write to descriptor 2 themselves; what matters of it is in their exceptions.
        ours = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(ours, "w", buffering=1, encoding="utf-8", errors="surrogateescape")
    sys.exit(main())


def _run(name: str, rest: Sequence[str]) -> int:
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name == "--version":
        from .. import __version__

        print(f"edge-crnn {__version__}")
        return 0
    command = _find(name)
    if command is None:
        print(f"edge-crnn: no command {name!r}\n{_usage()}", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(f"edge-crnn {name}", description=command.help)
    command.add_arguments(parser)
    try:
        parsed = parser.parse_args(rest)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    return command.run(parsed)


def _find(name: str) -> Command | None:
    if name in _BUILT_IN:
        found = import_module(_BUILT_IN[name][0]).COMMAND
    else:
        from importlib.metadata import entry_points

        points = tuple(entry_points(group=_GROUP, name=name))
        if not points:
            return None
        found = points[0].load()
    assert isinstance(found, Command)
    return found


def _usage() -> str:
    from importlib.metadata import entry_points

    more = sorted({point.name for point in entry_points(group=_GROUP)} - _BUILT_IN.keys())
    lines = ["usage: edge-crnn COMMAND …", "", "commands:"]
    lines += [f"  {name:<12} {help_}" for name, (_, help_, _) in _BUILT_IN.items()]
    lines += [f"  {name:<12} see edge-crnn {name} --help" for name in more]
    return "\n".join([*lines, "", "edge-crnn COMMAND --help tells more; --version prints the version"])


def _fail(name: str, reason: object, status: int) -> int:
    lines = str(reason).splitlines()
    is_list = len(lines) > 1 and all(line.startswith("  - ") for line in lines[1:])
    print(f"edge-crnn {name}:", ("\n" if is_list else " ").join(lines), file=sys.stderr)
    return status
