"""The commands of `edge-crnn`: their order, their help, and the search for them.

With this table, `edge-crnn --help` imports no command. The commands of the converters are entry points, because the
runtime does not import the converters; other packages may add more.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from ..errors import BackendUnavailable
from .command import Command

GROUP = "edge_crnn.commands"
"""The group of entry points that name a `Command`."""


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    help: str
    """The line for the list of commands; see `Command.help`."""
    module: str | None
    """The module with the `COMMAND`; None for a command of the converters, which an entry point names."""
    extra: str
    """The extra of edge-crnn that installs the imports of the command."""
    needs: Sequence[str] = ()
    """Top-level modules that the command always needs."""

    @property
    def is_missing_packages(self) -> bool:
        """True if a module that the command needs is not installed. Imports none of them."""
        return any(importlib.util.find_spec(name) is None for name in self.needs)


_CONVERT = ("tensorflow", "h5py", "flatbuffers")
_SYNTH = ("PIL", "cv2")
_TRAIN = ("keras", *_SYNTH)

COMMANDS: dict[str, Entry] = {
    "read": Entry("read the text in images", "edge_crnn.cli.read", "litert,opencv"),
    "convert": Entry("convert a trained model and verify that it reads the same text", None, "convert", _CONVERT),
    "spec": Entry("measure the settings that a model file lacks and write its spec", None, "convert", _CONVERT),
    "info": Entry("show the description of a model", "edge_crnn.cli.info", "litert"),
    "verify": Entry("compare converted models with the trained model", None, "convert", _CONVERT),
    "slim": Entry("make a trained model smaller so that it reads the same text", None, "convert", _CONVERT),
    "serve-folder": Entry("read every image that arrives in a folder", "edge_crnn.cli.serve_folder", "litert,opencv"),
    "watch": Entry(
        "watch a camera and report one event per vehicle", "edge_crnn.cli.watch", "litert,watch", ("av", "cv2")
    ),
    "read-all": Entry(
        "read archives of images, and continue after an interruption", "edge_crnn.cli.read_all", "litert,opencv"
    ),
    "export": Entry("write a model for Triton Inference Server", "edge_crnn.cli.export", "litert,opencv"),
    "calibrate": Entry(
        "make confidences match the share of correct readings", "edge_crnn.cli.calibrate", "litert,opencv"
    ),
    "bench": Entry("measure how fast models read on this machine", "edge_crnn.cli.bench", "litert,opencv"),
    "report": Entry("combine results into one page", None, "convert"),
    "doctor": Entry("check what this machine has and lacks", "edge_crnn.cli.doctor", "litert"),
    "train": Entry(
        "train a network on labelled or rendered images", "edge_crnn.cli.train", "train", ("keras", *_TRAIN)
    ),
    "synth": Entry("render labelled plates or lines of text", "edge_crnn.cli.synth", "train", _SYNTH),
    "build-engine": Entry("build a TensorRT engine for this machine's GPU", None, "tensorrt"),
    "completion": Entry("print a completion script for your shell", "edge_crnn.cli.completion", "litert"),
}
"""Name → entry, most used first."""


def find_command(name: str) -> Command | None:
    """Import the command of this name; None if there is none.

    Raises:
        BackendUnavailable: the command belongs to the converters, which are not installed.
        ModuleNotFoundError: a package that it imports is not installed.
    """
    entry = COMMANDS.get(name)
    if entry is not None and entry.module is not None:
        command = import_module(entry.module).COMMAND
    else:
        from importlib.metadata import entry_points  # slow to import

        points = tuple(entry_points(group=GROUP, name=name))
        if not points and entry is not None:
            raise BackendUnavailable("it belongs to the converters, which are not installed; reinstall edge-crnn")
        if not points:
            return None
        command = points[0].load()
    assert isinstance(command, Command)
    return command


def other_commands() -> list[str]:
    """List the names of the commands that other packages add."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=GROUP)} - COMMANDS.keys())


def all_names() -> list[str]:
    """List the names of all commands, most used first."""
    return [*COMMANDS, *other_commands()]


def table() -> list[str]:
    """Return lines with the name and the help of every command."""
    lines = []
    for name, entry in COMMANDS.items():
        lines.append(f"  {name:<13} {entry.help}")
        if entry.is_missing_packages:
            lines.append(f"  {'':<13} (not installed: pip install 'edge-crnn[{entry.extra}]')")
    return [*lines, *(f"  {name:<13} {_help_of_other(name)}" for name in other_commands())]


def _help_of_other(name: str) -> str:
    try:
        command = find_command(name)
    except ImportError as error:
        return f"(cannot be imported: {error})"
    return command.help if command is not None else ""
