"""`edge-crnn COMMAND …`: finds the command, runs it, and turns its end into an exit status.

| status | meaning |
|---|---|
| 0 | done |
| 1 | an expected failure: one line on stderr, or a headline with a list |
| 2 | bad usage |
| 3 | a verification gate is not met |
| 130 | interrupted |
| 141 | nobody reads the output any more |

A defect keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import EdgeCrnnError, VerificationError
from .commands import COMMANDS, all_names, find_command, table
from .parser import did_you_mean

_ABOUT = """\
usage: edge-crnn COMMAND [options]

edge-crnn converts trained Keras CRNN text recognisers to int8 TFLite, ONNX and
FP16 TensorRT, proves that they still read the same text, and reads images with
them on a Raspberry Pi or a Jetson.

examples:
  edge-crnn read plate.jpg
  edge-crnn convert model.keras -o model.tflite --labelled images
  edge-crnn read --model model.tflite folder

commands:
"""
_MORE = """
edge-crnn COMMAND --help shows the options of a command.
edge-crnn -V shows the version."""


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
        extra = COMMANDS[name].extra if name in COMMANDS else "convert"
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
        print("\n".join([_ABOUT.rstrip("\n"), *table(), _MORE]))
        return 0
    if name in ("-V", "--version"):
        from .. import __version__

        print(f"edge-crnn {__version__}")
        return 0
    if name == "help":
        return _run(rest[0], ["--help"]) if rest else _run("--help", [])
    command = find_command(name)
    if command is None:
        kind = "option" if name.startswith("-") else "command"
        known = ("--help", "--version") if kind == "option" else all_names()
        print(f"edge-crnn: unknown {kind} {name!r}{did_you_mean(name, known)}", file=sys.stderr)
        print("See edge-crnn --help.", file=sys.stderr)
        return 2
    try:
        parsed = command.parser(name).parse_args(rest)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    return command.run(parsed)


def _fail(name: str, reason: object, status: int) -> int:
    lines = str(reason).splitlines()
    is_list = len(lines) > 1 and all(line.startswith("  - ") for line in lines[1:])
    print(f"edge-crnn {name}:", ("\n" if is_list else " ").join(lines), file=sys.stderr)
    return status
