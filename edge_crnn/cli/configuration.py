"""The arguments of a command in a TOML file.

The keys are the names of the command's long options, without the hyphens in front, and of its positional argument. The
values go through the same parser as the words of the command line:

    source = "$CAMERA"
    leave-after = "30s"
    region = ["gate: 0,0.5 1,0.5 1,1 0,1"]
    page = true
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import BackendUnavailable, InputError
from .parser import CommandParser, UsageError, did_you_mean

OPTION = "config"
"""Name of the option that names the file."""
_MOST_BYTES = 1 << 20
_UNSET = object()


def add_config_argument(parser: argparse._ActionsContainer, command: str) -> None:
    """Add the option `--config`, which `Command.arguments` reads."""
    parser.add_argument(
        f"--{OPTION}",
        type=Path,
        metavar="FILE.toml",
        help=f"take options from a file, whose keys are the names of the options of `{command}`; those of the command"
        " line win",
    )


def add_configuration(
    arguments: argparse.Namespace, words: Sequence[str], make_parser: Callable[[], CommandParser]
) -> None:
    """Set what the file has and the words have not. A list on the command line replaces that of the file.

    Args:
        arguments: what the words say, with the path of the file as `config`.
        words: the words of the command line, which are known to be correct.
        make_parser: makes the parser of the command.

    Raises:
        UsageError: the file is no TOML, or has a key or a value that the command does not take.
        InputError: the file cannot be read.
        BackendUnavailable: Python 3.10 has no parser of TOML.
    """
    given = _given(make_parser(), words)
    for name, value in load_configuration(arguments.config, make_parser()).items():
        if name not in given:
            setattr(arguments, name, value)


def load_configuration(path: Path, parser: CommandParser) -> dict[str, Any]:
    """Return the values of a file, by the names that they have in a namespace.

    A path in the file is relative to the folder of the file.

    Raises:
        UsageError: the file is no TOML, or has a key or a value that the command does not take.
        InputError: the file cannot be read.
        BackendUnavailable: Python 3.10 has no parser of TOML.
    """
    values: dict[str, Any] = {}
    actions = _actions(parser)
    for key, content in _load(path).items():
        if key not in actions:
            advice = did_you_mean(key, actions) or f"; known are {', '.join(sorted(actions))}"
            raise UsageError(f"{path}: unknown key {key}{advice}")
        try:
            values |= _given(parser, list(_words(key, content, actions[key])))
        except argparse.ArgumentError as error:
            raise UsageError(f"{path}: {key}: {error.message}") from error
    return {name: _below(path.parent, value) for name, value in values.items()}


def _given(parser: CommandParser, words: Sequence[str]) -> dict[str, Any]:
    """Return what the words set, without defaults.

    Raises:
        argparse.ArgumentError: a value is not one that the option takes.
    """
    parser.exit_on_error = False  # raises instead
    before = {action.dest: [] if _is_list(action) else _UNSET for action in parser._actions}
    after = vars(parser.parse_args(words, argparse.Namespace(**before)))
    positional = {action.dest for action in parser._actions if not action.option_strings}
    return {
        name: value
        for name, value in after.items()
        if value is not before.get(name) and not (name in positional and value is None)
    }


def _words(key: str, content: object, action: argparse.Action) -> Iterator[str]:
    """Yield the words of the command line that say the same.

    Raises:
        argparse.ArgumentError: the content has a type that the option does not take.
    """
    if action.nargs == 0:
        if not isinstance(content, bool):
            raise argparse.ArgumentError(None, f"found {_kind(content)}, expected true or false")
        if content:
            yield f"--{key}"
        return
    if isinstance(content, list) and not _is_list(action):
        raise argparse.ArgumentError(None, "found an array, expected one value")
    for value in content if isinstance(content, list) else [content]:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise argparse.ArgumentError(None, f"found {_kind(value)}, expected text or a number")
        if value == "--":  # argparse takes it for a separator
            raise argparse.ArgumentError(None, "found --, expected a value")
        yield from [f"--{key}={value}"] if action.option_strings else ["--", str(value)]


def _kind(content: object) -> str:
    if isinstance(content, bool):
        return str(content).lower()
    kinds = {str: "text", int: "a number", float: "a number", list: "an array", dict: "a table"}
    return kinds.get(type(content), "a date or time")


def _actions(parser: CommandParser) -> Mapping[str, argparse.Action]:
    """Return what a file may set, by key."""
    actions = {}
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.dest == OPTION:
            continue
        for name in action.option_strings or [action.dest]:
            if name.startswith("--") or not action.option_strings:
                actions[name.removeprefix("--")] = action
    return actions


def _is_list(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction)


def _below(folder: Path, value: object) -> object:
    return folder / value if isinstance(value, Path) else value


def _load(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise BackendUnavailable(f"{path}: needs tomli ({error}); pip install 'edge-crnn[watch]'") from error
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a TOML file with options") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path}: has more than {_MOST_BYTES:,} bytes, expected a TOML file with options")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start}: {error.reason}); save it as such") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: is no TOML ({error}); write one `key = value` per line") from error
