"""`edge-crnn COMMAND …`: runs a command and returns an exit status.

| status | meaning |
|---|---|
| 0 | done |
| 1 | an expected failure: one line on stderr, or a headline with a list |
| 2 | bad usage |
| 3 | a verification gate is not met |
| 130 | interrupted |
| 141 | the reader of the output has gone |

A defect ends with its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from ..errors import EdgeCrnnError, VerificationError
from ..files import error_numbers
from ..terminal import printable
from .commands import COMMANDS, all_names, find_command, table
from .parser import UsageError, did_you_mean
from .streams import StdoutError, drop_output, fill_descriptors, open_output

_OF_FILES = error_numbers("EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "ESTALE", "ENOMEM")
"""Errors of files and disks that may occur without the name of a file."""

_ABOUT = """\
usage: edge-crnn COMMAND [options]

edge-crnn converts trained Keras CRNN text recognisers to int8 TFLite, ONNX and
FP16 TensorRT, checks that they still read the same text, and reads images with
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
    """Run one command and return its exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = _status(name, rest)
        sys.stdout.flush()  # report an error now, because Python only warns of it at the end
    except KeyboardInterrupt:  # while stdout was not ready
        drop_output()
        return _fail(name, "interrupted", 130)
    except StdoutError as error:
        drop_output()
        return _fail(name, error, 1)
    except BrokenPipeError:
        drop_output()
        return 141
    return status


def entry() -> None:
    """Run `main` as the console script.

    The engines' own messages are kept off stderr unless EDGE_CRNN_VERBOSE is set.
    """
    fill_descriptors()
    sys.stdout = open_output(1, is_essential=True)
    messages = 2
    if not os.environ.get("EDGE_CRNN_VERBOSE"):
        # LiteRT, TensorFlow and OpenCV write to descriptor 2 themselves; their exceptions say what matters.
        messages = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stderr = open_output(messages, is_essential=False)
    sys.exit(main())


def _status(name: str, rest: Sequence[str]) -> int:
    """Run one command; turn an expected failure into a message and an exit status."""
    try:
        return _run(name, rest)
    except StdoutError:  # `main` writes the message
        raise
    except UsageError as error:
        return _fail(name, error, 2)
    except VerificationError as error:
        return _fail(name, error, 3)
    except EdgeCrnnError as error:
        return _fail(name, error, 1)
    except ModuleNotFoundError as error:
        if (error.name or "edge_crnn").partition(".")[0] in ("edge_crnn", "converters"):
            raise
        extra = COMMANDS[name].extra if name in COMMANDS else "convert"
        return _fail(name, f"needs {error.name}, which is not installed; pip install 'edge-crnn[{extra}]'", 1)
    except OSError as error:  # a file that could be read a moment ago, or a disk that fails
        if not _is_about_file(error):  # for example a broken pipe, at which `main` ends quietly
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        remedy = "end other programs" if error.errno == errno.ENOMEM else "check the disk and the permissions"
        return _fail(name, f"{place}{error.strerror or error}; {remedy}, and try again", 1)
    except KeyboardInterrupt:
        return _fail(name, "interrupted", 130)


def _is_about_file(error: OSError) -> bool:
    """Return whether an error is about a file or a disk, not about a connection or a program to start."""
    if isinstance(error, ConnectionError) or (isinstance(error, TimeoutError) and error.filename is None):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and trace.tb_frame.f_globals.get("__name__") == "subprocess":  # `filename` is the program
        return False
    return error.filename is not None or error.errno in _OF_FILES


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
        names = ("--help", "--version") if kind == "option" else all_names()
        print(f"edge-crnn: unknown {kind} {name!r}{did_you_mean(name, names)}", file=sys.stderr)
        print("See edge-crnn --help.", file=sys.stderr)
        return 2
    try:
        parsed = command.arguments(name, rest)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    return command.run(parsed)


def _fail(name: str, reason: object, status: int) -> int:
    lines = str(reason).splitlines()
    is_list = len(lines) > 1 and all(line.startswith("  - ") for line in lines[1:])
    print(f"edge-crnn {printable(name)}:", ("\n" if is_list else " ").join(map(printable, lines)), file=sys.stderr)
    return status
