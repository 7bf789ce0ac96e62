"""The command line reference, generated from the parsers themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docs.tools.text import cell, code, escaped, sentence
from edge_crnn.cli.command import Command
from edge_crnn.cli.commands import all_names, find_command

_USUAL_GROUPS = ("options", "optional arguments", "positional arguments")


def commands() -> dict[str, Command]:
    """Return the commands by name, in the order of `edge-crnn --help`."""
    by_name = {name: find_command(name) for name in all_names()}
    return {name: command for name, command in by_name.items() if command is not None}


def reference() -> str:
    """Return the page in Markdown."""
    by_name = commands()
    lines = [
        "# Command line",
        "",
        "Results go to stdout, progress and messages to stderr. The exit status is 0 for success, 1 for an expected",
        "failure, 2 for wrong usage and 3 for a gate that is not met.",
        "",
        "| command | what it does |",
        "|---|---|",
        *(f"| [`{name}`](#{name}) | {cell(command.help)} |" for name, command in by_name.items()),
    ]
    for name, command in by_name.items():
        lines += ["", f"## {name}", "", *_section(name, command)]
    return "\n".join(lines) + "\n"


def _section(name: str, command: Command) -> Iterator[str]:
    parser = command.parser(name)
    yield sentence(command.help)
    if command.details:
        yield from ("", escaped(command.details))
    yield from ("", "```console", parser.format_usage().removeprefix("usage: ").strip())
    yield from (f"edge-crnn {example}" for example in command.examples)
    yield "```"
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if _is_shown(action)]
        if not actions:
            continue
        if group.title and group.title not in _USUAL_GROUPS:
            yield from ("", f"**{sentence(group.title).rstrip('.')}**", "")
        if group.description:
            yield from ("", escaped(sentence(group.description)))
        yield from ("", "| argument | meaning |", "|---|---|")
        formatter = argparse.HelpFormatter(parser.prog)
        for action in actions:
            yield f"| {_name(action)} | {cell(formatter._expand_help(action) if action.help else '')} |"


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)


def _name(action: argparse.Action) -> str:
    names = ", ".join(map(code, action.option_strings))
    if action.nargs == 0:
        return names
    return f"{names} {code(_value(action))}".strip()


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        value = " ".join(action.metavar)
    elif action.metavar is not None:
        value = action.metavar
    elif action.choices is not None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        value = action.dest.upper() if action.option_strings else action.dest
    return f"{value} …" if action.nargs in ("+", "*") else value
