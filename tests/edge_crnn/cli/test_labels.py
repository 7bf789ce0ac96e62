from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from edge_crnn.cli.commands import find_command
from edge_crnn.cli.labels import add_label_arguments, label_rules_of
from edge_crnn.labels.rules import LabelRules


def rules(*words: str) -> LabelRules:
    parser = argparse.ArgumentParser()
    add_label_arguments(parser)
    return label_rules_of(parser.parse_args(words))


def test_options_become_rules() -> None:
    assert rules() == LabelRules()
    assert rules("--label-pattern", "{index}_{label}", "--fold-case", "upper", "--drop-unknown") == LabelRules(
        "{index}_{label}", "upper", drop_unknown=True
    )
    assert rules("--labels", "gt.txt") == LabelRules(table=Path("gt.txt"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label-pattern", "{index}"], "has {label} 0 times, expected once"),
        (["--label-pattern", "{label}", "--labels", "gt.txt"], "not allowed with argument"),
        (["--fold-case", "title"], "invalid choice: 'title'"),
    ],
)
def test_bad_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        rules(*words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["read", "serve-folder", "calibrate", "bench", "train", "convert", "verify", "spec"])
def test_every_command_that_takes_a_folder_reads_subfolders(name: str) -> None:
    """frigate#11270: dated subfolders were skipped without a word, and there was no option."""
    command = find_command(name)
    assert command is not None
    parser = command.parser(name)
    option = parser._option_string_actions["--recursive"]
    assert option.default is False
