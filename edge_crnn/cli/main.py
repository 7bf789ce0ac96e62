"""`edge-crnn COMMAND …`: finds the command, runs it, and turns its end into an exit status.

0 done, 1 an expected failure (one line on stderr), 2 bad usage, 3 a verification gate not met, 130 interrupted,
141 nobody reads the output any more. A defect keeps its traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ..errors import EdgeCrnnError, VerificationError
from .command import Command

_BUILT_IN = {
    "read": ("edge_crnn.cli.read", "read the text in images"),
    "info": ("edge_crnn.cli.info", "show what a model says about itself"),
    "synth": ("edge_crnn.cli.synth", "draw labelled plates"),
}
"""Command → module with a COMMAND, its help. Entry points are scanned only for a name that is not here."""

_GROUP = "edge_crnn.commands"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name == "--version":
        from .. import __version__

        print(f"edge-crnn {__version__}")
        return 0
    try:
        command = _find(name)
    except EdgeCrnnError as error:
        return _fail(name, error, 1)
    if command is None:
        print(f"edge-crnn: no command {name!r}\n{_usage()}", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(f"edge-crnn {name}", description=command.help)
    command.add_arguments(parser)
    try:
        status = command.run(parser.parse_args(words[1:]))
        sys.stdout.flush()
    except SystemExit as end:  # argparse's own
        return end.code if isinstance(end.code, int) else 2
    except VerificationError as error:
        return _fail(name, error, 3)
    except EdgeCrnnError as error:
        return _fail(name, error, 1)
    except KeyboardInterrupt:
        return _fail(name, "interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit does not try to flush again
        return 141
    return status


def entry() -> None:
    """The console script: `main`, with the engines' own chatter kept off stderr unless EDGE_CRNN_VERBOSE is set."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    if not os.environ.get("EDGE_CRNN_VERBOSE"):
        # LiteRT, TensorFlow and OpenCV write to descriptor 2 themselves; what matters of it is in their exceptions.
        ours = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(ours, "w", buffering=1, encoding="utf-8", errors="surrogateescape")
    sys.exit(main())


def _find(name: str) -> Command | None:
    if name in _BUILT_IN:
        found = import_module(_BUILT_IN[name][0]).COMMAND
        assert isinstance(found, Command)
        return found
    from importlib.metadata import entry_points

    for point in entry_points(group=_GROUP, name=name):
        try:
            loaded = point.load()
        except ModuleNotFoundError as error:
            raise EdgeCrnnError(
                f"command {name!r} needs {error.name}: pip install 'edge-crnn[convert]', on a workstation"
            ) from error
        assert isinstance(loaded, Command)
        return loaded
    return None


def _usage() -> str:
    from importlib.metadata import entry_points

    more = sorted({point.name for point in entry_points(group=_GROUP)} - _BUILT_IN.keys())
    lines = ["usage: edge-crnn COMMAND …", "", "commands:"]
    lines += [f"  {name:<10} {help_}" for name, (_, help_) in _BUILT_IN.items()]
    lines += [f"  {name:<10} see edge-crnn {name} --help" for name in more]
    return "\n".join([*lines, "", "edge-crnn COMMAND --help tells more; --version prints the version"])


def _fail(name: str, reason: object, status: int) -> int:
    print(f"edge-crnn {name}: {' '.join(str(reason).split())}", file=sys.stderr)
    return status
