"""The help of every command, as a user reads it."""

from __future__ import annotations

import argparse

import pytest

from edge_crnn.cli.command import Command
from edge_crnn.cli.commands import COMMANDS, find_command
from edge_crnn.cli.main import main
from edge_crnn.cli.parser import COLUMNS

NAMES = list(COMMANDS)


def command(name: str) -> Command:
    for package in COMMANDS[name].needs:
        pytest.importorskip(package, reason=f"{package} comes with edge-crnn[{COMMANDS[name].extra}]")
    entry = find_command(name)
    assert entry is not None
    return entry


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_the_table_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= COLUMNS
    for name, entry in COMMANDS.items():
        assert f"\n  {name:<13} {entry.help}\n" in text
    assert "--help" not in text.partition("commands:")[2].partition("\n\n")[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_and_the_command_have_the_same_help(name: str) -> None:
    assert command(name).help == COMMANDS[name].help


@pytest.mark.parametrize("name", NAMES)
def test_help_fits(name: str) -> None:
    text = command(name).parser(name).format_help()
    assert text.startswith(f"usage: edge-crnn {name} [options]")
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []
    assert "python -m" not in text


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_has_help_in_one_style(name: str) -> None:
    for action in command(name).parser(name)._actions:
        assert action.help, action.option_strings
        if action.help == argparse.SUPPRESS:
            continue
        assert not action.help.endswith("."), action.help
        assert action.option_strings or action.metavar or action.choices, f"{action.dest} needs a metavar in capitals"


@pytest.mark.parametrize("name", NAMES)
def test_examples_parse(name: str) -> None:
    entry = command(name)
    for example in entry.examples:
        words, *_ = example.split(" > ")
        _, *rest = words.split()
        entry.parser(name).parse_args(rest)


@pytest.mark.parametrize("name", NAMES)
def test_former_names_lead_to_options(name: str) -> None:
    entry = command(name)
    options = entry.parser(name)._option_string_actions
    for former, current in entry.renamed.items():
        assert former not in options
        assert current in options
