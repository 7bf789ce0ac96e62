from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from edge_crnn.errors import InputError
from edge_crnn.model.typed import build


@dataclass(frozen=True)
class Leaf:
    name: str
    exact: bool = True


@dataclass(frozen=True)
class Tree:
    leaves: Mapping[str, tuple[Leaf, ...]]
    size: float | None = None
    span: tuple[int, int] = field(default=(0, 0))
    kind: Literal["oak", "elm"] | None = None
    heights: dict[str, float] = field(default_factory=dict)


def test_missing_fields_get_defaults_and_unknown_ones_are_ignored_if_open_ended() -> None:
    data = {"leaves": {"a": [{"name": "x", "colour": "green"}]}, "size": None, "age": 3}
    assert build(Tree, data, "file", InputError, open_ended=True) == Tree({"a": (Leaf("x"),)})
    with pytest.raises(InputError, match="file: unknown field 'age'"):
        build(Tree, data, "file", InputError)


def test_one_of_several_words_or_none_and_a_dictionary() -> None:
    for kind in ("oak", None):
        data = {"leaves": {}, "kind": kind, "heights": {"old": 3}}
        assert build(Tree, data, "file", InputError) == Tree({}, kind=kind, heights={"old": 3.0})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "file: found list, expected an object"),
        ({}, "file: field 'leaves' is missing"),
        ({"leaves": {"a": [{"name": 1}]}}, "file: leaves: a: name: found 1, expected str"),
        ({"leaves": {"a": [{"name": "x", "exact": 1}]}}, "file: leaves: a: exact: found 1, expected bool"),
        ({"leaves": {}, "size": float("nan")}, "file: size: found nan, expected float"),
        ({"leaves": {}, "kind": "ash"}, "file: kind: found 'ash', expected 'oak' | 'elm'"),
        ({"leaves": {}, "heights": {"old": "3"}}, "file: heights: old: found '3', expected float"),
        ({"leaves": {}, "span": [1, True]}, "file: span: found True, expected int"),
    ],
)
def test_a_message_leads_to_the_field(data: object, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        build(Tree, data, "file", InputError)
