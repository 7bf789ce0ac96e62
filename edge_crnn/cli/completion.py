"""`edge-crnn completion`: prints a static completion script, made from the parsers of all commands."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .command import Command
from .commands import all_names, find_command

_NO_CHOICES: tuple[str, ...] = ()
_HELP_COLUMNS = 70


@dataclass(frozen=True)
class Option:
    """An option of a command, for completion."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]
    """The values of the option; empty if the shell completes file names."""


@dataclass(frozen=True)
class Completion:
    """A command, for completion."""

    name: str
    help: str
    options: tuple[Option, ...]
    choices: tuple[str, ...]
    """The values of the first positional argument; empty if the shell completes file names."""


def completions(names: Sequence[str]) -> list[Completion]:
    """Collect the options of these commands from their parsers.

    A command that lacks a package is completed without options.
    """
    return [_completion(name) for name in names]


def bash(commands: Sequence[Completion]) -> str:
    """Return the script for bash, which completes file names if there are no other words."""
    values = []
    options = []
    for command in commands:
        for option in command.options:
            if option.choices:
                patterns = "|".join(f'"{command.name} {name}"' for name in option.names)
                values.append(f'        {patterns}) words="{" ".join(option.choices)}" ;;')
        names = " ".join(name for option in command.options for name in option.names)
        others = f' other="{" ".join(command.choices)}"' if command.choices else ""
        options.append(f'        {command.name}) words="{names}"{others} ;;')
    return "\n".join(
        [
            "# bash completion of edge-crnn, printed by: edge-crnn completion bash",
            "_edge_crnn() {",
            '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"',
            '    local command="${COMP_WORDS[1]}" words="" other=""',
            "    COMPREPLY=()",
            '    if [ "$COMP_CWORD" -eq 1 ]; then',
            f'        words="{" ".join(command.name for command in commands)} --help --version"',
            '        COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "        return",
            "    fi",
            '    case "$command $previous" in',
            *values,
            "    esac",
            '    if [ -z "$words" ]; then',
            '        case "$command" in',
            *(f"    {line}" for line in options),
            "        esac",
            '        if [[ "$current" != -* ]]; then words="$other"; fi',
            "    fi",
            '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            "complete -o default -F _edge_crnn edge-crnn",
            "",
        ]
    )


def zsh(commands: Sequence[Completion]) -> str:
    """Return the script for zsh, to be evaluated or stored as `_edge-crnn` in a folder of `$fpath`."""
    lines = [
        "#compdef edge-crnn",
        "# zsh completion of edge-crnn, printed by: edge-crnn completion zsh",
        "_edge_crnn() {",
        "    local -a commands",
        "    commands=(",
        *(f"        {_quoted(f'{command.name}:{command.help}')}" for command in commands),
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    shift words",
        "    (( CURRENT-- ))",
        '    case "$words[1]" in',
    ]
    for command in commands:
        lines.append(f"        {command.name})")
        lines.append("            _arguments \\")
        for option in command.options:
            lines += [f"                {_quoted(spec)} \\" for spec in _zsh_specs(option)]
        rest = f":value:({' '.join(command.choices)})" if command.choices else "*:file:_files"
        lines.append(f"                {_quoted(rest)}")
        lines.append("            ;;")
    lines += ["    esac", "}", 'if [ "$funcstack[1]" = "_edge-crnn" ]; then', '    _edge_crnn "$@"', "else"]
    return "\n".join([*lines, "    compdef _edge_crnn edge-crnn", "fi", ""])


def fish(commands: Sequence[Completion]) -> str:
    """Return the script for fish."""
    lines = ["# fish completion of edge-crnn, printed by: edge-crnn completion fish"]
    lines += [
        f"complete -c edge-crnn -n __fish_use_subcommand -f -a {command.name} -d {_quoted(command.help, fish=True)}"
        for command in commands
    ]
    for command in commands:
        seen = f"complete -c edge-crnn -n '__fish_seen_subcommand_from {command.name}'"
        if command.choices:
            lines.append(f"{seen} -f -a '{' '.join(command.choices)}'")
        for option in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = ""
            if option.choices:
                value = f" -x -a '{' '.join(option.choices)}'"
            elif option.takes_value:
                value = " -r"
            lines.append(f"{seen} {names}{value} -d {_quoted(option.help, fish=True)}")
    return "\n".join([*lines, ""])


_SCRIPTS: dict[str, Callable[[Sequence[Completion]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _completion(name: str) -> Completion:
    try:
        command = find_command(name)
        assert command is not None
        parser = command.parser(name)
    except (ImportError, RuntimeError):  # a package or the converters are missing
        return Completion(name, "", (), ())
    positional = [action for action in parser._actions if not action.option_strings]
    choices = _words(positional[0].choices) if positional else _NO_CHOICES
    return Completion(name, command.help, tuple(_options(parser)), choices)


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            yield Option(tuple(action.option_strings), _brief(action), action.nargs != 0, _words(action.choices))


def _brief(action: argparse.Action) -> str:
    """Return the first clause of an argument's help, short enough for one line."""
    text = " ".join((action.help or "").split()) % {"default": action.default}
    return textwrap.shorten(re.split(r"; | \(", text)[0], _HELP_COLUMNS, placeholder=" …")


def _words(choices: object) -> tuple[str, ...]:
    return tuple(str(choice) for choice in choices) if isinstance(choices, (list, tuple)) else _NO_CHOICES


def _zsh_specs(option: Option) -> Iterator[str]:
    text = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = ""
    if option.choices:
        value = f":value:({' '.join(option.choices)})"
    elif option.takes_value:
        value = ":value:_files"
    for name in option.names:
        yield f"*{name}[{text}]{value}"


def _quoted(text: str, *, fish: bool = False) -> str:
    """Quote for a shell with single quotes. Only fish interprets backslashes inside them."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'") if fish else text.replace("'", "'\\''")
    return f"'{escaped}'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `completion`."""
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="the shell that runs the script")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(_SCRIPTS[arguments.shell](completions(all_names())), end="")
    return 0


COMMAND = Command(
    "print a completion script for your shell",
    add_arguments,
    run,
    details="For bash, write the script to a file as below and add '. ~/.edge-crnn.bash' to ~/.bashrc. For zsh, name"
    " the file _edge-crnn and put it in a folder of $fpath. The script knows what is installed now; print it again"
    " after an upgrade.",
    examples=(
        "completion bash > ~/.edge-crnn.bash",
        "completion zsh > ~/.zfunc/_edge-crnn",
        "completion fish > ~/.config/fish/completions/edge-crnn.fish",
    ),
)
