"""Options that declare what a model file does not say."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.conventions.declared import OPTIONS, add_declarations, alphabet, declared_by, get, join, read_draft
from edge_crnn.errors import InputError, ModelSpecError
from edge_crnn.model.digest import with_field


def parsed(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_declarations(parser)
    return declared_by(parser.parse_args(words))


def test_nothing_is_declared_without_options() -> None:
    assert parsed() == {}


@pytest.mark.parametrize(
    ("words", "draft"),
    [
        (["--alphabet", "0123"], {"symbols": ["0", "1", "2", "3"]}),
        (["--blank", "last"], {"blank": "last"}),
        (["--blank", "7"], {"blank": 7}),
        (["--unused", "0", "--unused", "last"], {"unused": [0, "last"]}),
        (["--scale", "1/255"], {"input": {"scale": 1 / 255}}),
        (["--scale", "1,2,4/2", "--offset=-1,-2,-3"], {"input": {"scale": [1, 2, 2], "offset": [-1, -2, -3]}}),
        (["--offset", "-1"], {"input": {"offset": -1}}),
        (["--invert", "--no-standardise"], {"input": {"invert": True, "standardise": False}}),
        (["--rotate", "90", "--resize", "fit"], {"input": {"rotate": 90, "resize": "fit"}}),
        (["--padding", "255,0,3"], {"input": {"padding": [255, 0, 3]}}),
        (["--reduce", "area"], {"input": {"reduce": "area"}}),
        (["--padding", "edge"], {"input": {"padding": "edge"}}),
        (["--filter", "otsu", "--filter", "resize"], {"input": {"filters": ["otsu", "resize"]}}),
        (["--pixels", "imagenet"], {"input": {"pixels": "imagenet"}}),
        (["--skip-steps", "2"], {"skip_steps": 2}),
        (["--lambda", "lambda_1=squeeze 1"], {"lambdas": {"lambda_1": "squeeze 1"}}),
    ],
)
def test_options_are_fields_of_the_spec(words: list[str], draft: dict[str, object]) -> None:
    assert parsed(*words) == draft


@pytest.mark.parametrize(
    "words",
    [
        ["--scale", "x"], ["--scale", "1/0"], ["--scale", "1,2"], ["--blank", "middle"], ["--padding", "1,2"],
        ["--rotate", "45"], ["--lambda", "squeeze"], ["--pixels", "x/256"], ["--skip-steps", "-1"],
        ["--reduce", "half"],
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(*words)
    assert words[0] in capsys.readouterr().err


def test_every_option_has_a_key_of_its_own() -> None:
    assert len({option.key for option in OPTIONS}) == len({option.flag for option in OPTIONS}) == len(OPTIONS)


# --- alphabets -------------------------------------------------------------------------------------------------------


@given(symbols=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=2, unique=True))
def test_an_alphabet_in_a_file_has_one_symbol_to_a_line(
    symbols: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("alphabet") / "symbols.txt"
    for newline, start in (("\n", b""), ("\r\n", b"\xef\xbb\xbf")):
        path.write_bytes(start + (newline.join(symbols) + newline).encode())
        assert alphabet(str(path)) == symbols


def test_a_file_with_one_line_has_its_characters(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    path.write_text("abc \n", encoding="utf-8")
    assert alphabet(str(path)) == ["a", "b", "c", " "]


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "symbols.txt"
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(InputError, match="UTF-8"):
        alphabet(str(path))


# --- joining ---------------------------------------------------------------------------------------------------------


def test_options_add_to_the_spec() -> None:
    joined = join({"blank": 3, "input": {"axes": "WHC"}}, parsed("--scale", "1/255", "--blank", "3"), "a.json")
    assert joined == {"blank": 3, "input": {"axes": "WHC", "scale": 1 / 255}}


def test_a_spec_in_one_text_is_an_alphabet_as_good_as_a_list() -> None:
    assert join({"symbols": "0123"}, parsed("--alphabet", "0123"), "a.json") == {"symbols": "0123"}


def test_a_contradiction_shows_both() -> None:
    with pytest.raises(InputError, match=r"a\.json says .*'last'.*--blank says 'first'.*--lambda says 'squeeze 1'"):
        join(
            {"blank": "last", "lambdas": {"x": "scale 2"}},
            parsed("--blank", "first", "--lambda", "x=squeeze 1"),
            "a.json",
        )


def test_a_copy_of_an_engine_s_spec_is_a_draft(tmp_path: Path) -> None:
    """The digest covers the original; a person edits the copy."""
    path = tmp_path / "mine.keras.json"
    path.write_bytes(with_field(b'{\n "blank": 3\n}'))
    assert read_draft(path) == {"blank": 3}


def test_a_written_default_contradicts_an_option() -> None:
    with pytest.raises(InputError, match=r"input\.invert False, --invert says True"):
        join({"input": {"invert": False}}, parsed("--invert"), "a.json")


@pytest.mark.parametrize(("content", "part"), [(b"[]", "JSON object"), (b"{", "no JSON"), (b"[" * 99_999, "no JSON")])
def test_a_damaged_spec_is_an_error(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ModelSpecError, match=part):
        read_draft(path)


def test_a_draft_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"input": {"scale": 1}}))
    draft = read_draft(path)
    assert (get(draft, "input.scale"), get(draft, "input.offset"), get(draft, "output.steps")) == (1, None, None)


@pytest.mark.parametrize(
    "draft",
    [
        {"input": []}, {"input": None}, {"output": "x"}, {"symbols": 5}, {"symbols": None}, {"unused": 5},
        {"unused": [True]}, {"lambdas": "x"}, {"lambdas": ["a"]}, {"input": {"pixels": "nope"}},
        {"input": {"pixels": []}},
        {"input": {"bogus": 1}}, {"input": {"function": {"a": 1}}}, {"label_map": [1]}, {"skip_steps": "x"},
        {"blank": "middle"}, {"output": {"classes": "x"}}, {"bogus": 1}, {"input": {"scale": "1/255"}},
    ],
)  # fmt: skip
def test_a_draft_of_other_types_is_an_error(draft: dict[str, object]) -> None:
    with pytest.raises(ModelSpecError, match=r"a\.json: "):
        join(draft, {}, "a.json")


def test_a_class_may_be_a_word_here_and_a_number_there() -> None:
    written = {"blank": 10, "unused": [0, 3], "output": {"classes": 11}}
    assert join(written, parsed("--blank", "last", "--unused", "3", "--unused", "first"), "a.json") == written
    with pytest.raises(InputError, match="blank 10, --blank says 'first'"):
        join(written, parsed("--blank", "first"), "a.json")
    assert join({"blank": 37}, parsed("--blank", "last"), "a.json") == {
        "blank": 37
    }  # how many there are is not known yet


def test_an_alphabet_of_one_symbol_agrees_with_itself() -> None:
    assert join({"symbols": "a"}, parsed("--alphabet", "a"), "a.json") == {"symbols": "a"}
