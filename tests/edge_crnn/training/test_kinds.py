from __future__ import annotations

from pathlib import Path

from edge_crnn.training.kinds import GROUPS, NEGATIVE, READABLE, expand
from edge_crnn.training.layouts import KINDS, KINDS_2019
from edge_crnn.training.plates.table import FORMS, NEGATIVES

MANUAL = Path(__file__).parents[3] / "docs" / "train.md"


def test_names_are_unique_and_groups_hold_all_kinds() -> None:
    names = [*READABLE, *KINDS_2019, *NEGATIVE, *GROUPS]
    assert len(set(names)) == len(names)
    assert {*FORMS, *KINDS} == set(READABLE)
    assert set(NEGATIVES) < set(NEGATIVE)
    assert set(expand(GROUPS)) == {*READABLE, *NEGATIVE}


def test_groups_are_replaced_by_their_kinds_and_no_kind_comes_twice() -> None:
    assert expand([]) == ()
    assert expand(["green", "first-five", "green"]) == ("green", *KINDS[:-1])


def test_the_manual_lists_every_kind_and_group() -> None:
    manual = MANUAL.read_text(encoding="utf-8")
    assert [name for name in (*READABLE, *NEGATIVE, *GROUPS) if f"`{name}`" not in manual] == []
