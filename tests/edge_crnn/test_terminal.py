from __future__ import annotations

import json
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.terminal import HALF_CHARACTER, UNSAFE, one_line, printable, printable_json


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\tb\nc\rd\be\x00", r"a\tb\nc\rd\x08e\x00"),
        ("\x7f\x85\x9b", r"\x7f\x85\x9b"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("\u2028\u2029\u2066", r"\u2028\u2029\u2066"),
        (os.fsdecode(b"\x9b31m"), r"\x9b31m"),
    ],
)
def test_controls_are_escaped(text: str, printed: str) -> None:
    assert printable(text) == printed


@pytest.mark.parametrize(
    "text", ["서울 12가 3456", "é", "e\u0301", r"a\b", "👍🏽", "ab\u200dc", "\u200fعربي", os.fsdecode(b"caf\xe9")]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_no_control_is_left(text: str) -> None:
    printed = printable(text)
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in printed)
    assert printable(printed) == printed
    assert len(one_line(text).splitlines()) <= 1


@given(st.text(st.characters()))
def test_json_keeps_its_content_without_a_control(text: str) -> None:
    for indent in (None, 1):
        printed = printable_json(json.dumps({text: [text]}, ensure_ascii=False, indent=indent))
        assert json.loads(printed) == {text: [text]}
        assert not UNSAFE.search(printed.replace("\n", ""))
        assert not HALF_CHARACTER.search(printed)
        assert indent or len(printed.splitlines()) == 1


def test_json_keeps_other_text_readable() -> None:
    assert printable_json('"서울 é"') == '"서울 é"'
