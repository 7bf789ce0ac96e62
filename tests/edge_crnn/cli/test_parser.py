from __future__ import annotations

import argparse

import pytest

from edge_crnn.cli.parser import COLUMNS, CommandParser, did_you_mean


@pytest.fixture
def parser() -> CommandParser:
    parser = CommandParser(
        "edge-crnn try",
        summary="Try it.",
        details="word " * 40,
        examples=["edge-crnn try a"],
        renamed={"--old": "--new"},
    )
    parser.add_argument("thing", metavar="THING", nargs="+")
    parser.add_argument("--new", metavar="N", type=int, default=1, help="a number (default: %(default)s)")
    parser.add_argument("--needed", metavar="DIR", help="a folder")
    return parser


@pytest.mark.parametrize("words", [["--old", "3", "a"], ["--old=3", "a"], ["a", "--old", "3"]])
def test_a_former_name_works_and_warns_once(
    words: list[str], parser: CommandParser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parser.parse_args([*words, "--old", "3"]).new == 3
    assert capsys.readouterr().err == "edge-crnn try: --old is now --new\n"


def test_a_current_name_warns_of_nothing(parser: CommandParser, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.parse_args(["--new", "3", "--", "--old", "--strange"]).thing == ["--old", "--strange"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nwe", "3"], "unknown option --nwe; did you mean --new?"),
        (["a", "--nedeed=3"], "unknown option --nedeed; did you mean --needed?"),
        (["a", "--zzz"], "unknown option --zzz\n"),
        ([], "the following arguments are required: THING"),
        (["a", "--new", "x"], "argument --new: invalid int value: 'x'"),
    ],
)
def test_bad_usage_is_one_line_with_a_pointer_to_help(
    words: list[str], message: str, parser: CommandParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(words)
    first, second = capsys.readouterr().err.splitlines()
    assert f"edge-crnn try: {message}".startswith(first)
    assert second == "See edge-crnn try --help."


def test_abbreviations_and_values_with_spaces_still_work(parser: CommandParser) -> None:
    parsed = parser.parse_args(["--nee", "a", "--strange but a value"])
    assert (parsed.needed, parsed.thing) == ("a", ["--strange but a value"])


def test_help_has_a_short_usage_and_fits(
    parser: CommandParser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = parser.format_help().splitlines()
    assert lines[0] == "usage: edge-crnn try [options] THING [THING ...]"
    assert lines[2] == "Try it."
    assert lines[lines.index("example:") + 1] == "  edge-crnn try a"
    assert lines.index("example:") < lines.index("positional arguments:")
    assert max(map(len, lines)) <= COLUMNS
    assert parser.format_usage() == f"{lines[0]}\n"


def test_required_options_are_in_the_usage() -> None:
    parser = CommandParser("edge-crnn try")
    parser.add_argument("--images", required=True, metavar="DIR", help="a folder")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model")
    assert parser.format_usage() == "usage: edge-crnn try [options] --images DIR [MODEL]\n"


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("raed", "; did you mean read?"),
        ("sepc", "; did you mean spec?"),
        ("serve_folder", "; did you mean serve-folder?"),
    ],
)
def test_the_nearest_name_is_suggested(word: str, end: str) -> None:
    assert did_you_mean(word, ["read", "spec", "serve-folder"]) == end
    assert did_you_mean("qqqq", ["read", "spec"]) == ""


def test_words_that_argparse_accepts_are_accepted() -> None:
    """The reference is plain argparse, on words that need no suggestion."""
    ours = CommandParser("x")
    plain = argparse.ArgumentParser("x")
    for parser in (ours, plain):
        parser.add_argument("--float", action="append")
        parser.add_argument("-n", "--count", type=float)
        parser.add_argument("rest", nargs="*")
    for words in ([], ["a"], ["-n", "-1"], ["-n3", "a", "--float=--b"], ["--flo", "x", "b"], ["--", "-n"]):
        assert ours.parse_args(words) == plain.parse_args(words)
