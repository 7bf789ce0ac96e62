from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError
from edge_crnn.labels.names import NamePattern

LABELS = {
    "{label}": [("ABC_1", "ABC_1"), ("서울 18", "서울 18")],
    "{index}_{label}": [("0001_ABC123", "ABC123"), ("7_A_B", "A_B"), ("12_34", "34")],
    "{label}_{index}": [("ABC123_1", "ABC123"), ("A_B_22", "A_B"), ("1_2_3", "1_2")],
    "{label}_{any}": [("ABC123_frame_12", "ABC123"), ("ABC_", "ABC")],
    "{any}_{label}": [("cam_7_ABC", "ABC"), ("_ABC", "ABC")],
    "{any}_{label}_{any}": [("182_slinking_71711", "slinking")],
    "{index}-{label} ({any})": [("3-A_B (copy)", "A_B")],
    "plate.{label}": [("plate.12+3", "12+3")],
    r"(?P<label>[A-Z]+)\d*": [("ABC12", "ABC")],
    r"(?:\d+_)?(?P<label>.+)": [("12_A", "A"), ("A", "A")],
}


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [(pattern, name, label) for pattern, pairs in LABELS.items() for name, label in pairs],
)
def test_label_is_at_the_place_in_the_pattern(pattern: str, name: str, label: str) -> None:
    assert NamePattern.compile(pattern).label(name) == label


@given(st.integers(0, 10**9), st.text(min_size=1))
def test_an_index_comes_off_every_label(index: int, label: str) -> None:
    assert NamePattern.compile("{index}_{label}").label(f"{index}_{label}") == label
    assert NamePattern.compile("{label}_{index}").label(f"{label}_{index}") == label


@given(st.text(), st.text(alphabet="ab_-", min_size=1), st.text())
def test_words_give_one_label_or_none(before: str, label: str, after: str) -> None:
    """The label is the only part, free of the separators, that can stand between them."""
    name = f"{before}-{label}_{after}"
    parts = [
        name[start + 1 : end]
        for start in range(len(name))
        for end in range(start + 2, len(name))
        if name[start] == "-" and name[end] == "_" and not {"-", "_"} & set(name[start + 1 : end])
    ]
    pattern = NamePattern.compile("{any}-{label}_{any}")
    if not parts:
        with pytest.raises(InputError, match="does not match"):
            pattern.label(name)
    elif parts[0] != parts[-1]:
        with pytest.raises(InputError, match="fits in two ways"):
            pattern.label(name)
    else:
        assert pattern.label(name) == parts[0]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{index}", "{label} 0 times, expected once"),
        ("{label}{label}", "{label} 2 times"),
        ("{number}_{label}", "has {number}; expected {label}, {index} or {any}"),
        ("(?P<label>", "is no regular expression (missing )"),
    ],
)
def test_bad_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        NamePattern.compile(pattern)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["ABC", "_ABC", "1_", "x1_ABC", "1ABC"])
def test_a_name_that_does_not_match(name: str) -> None:
    with pytest.raises(InputError, match=r"the name does not match the label pattern '\{index\}_\{label\}'"):
        NamePattern.compile("{index}_{label}").label(name)


@pytest.mark.parametrize(("pattern", "name"), [("{any}_{label}_{any}", "a_b_c_d"), ("{index}{label}", "12A")])
def test_a_name_that_can_be_read_in_two_ways(pattern: str, name: str) -> None:
    with pytest.raises(InputError, match=r"fits in two ways, with the label .* give a regular expression"):
        NamePattern.compile(pattern).label(name)
