from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.terminal import one_line, printable


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
