from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import DatasetError
from edge_crnn.labels.plain import iam_rows, is_iam, rows
from edge_crnn.labels.row import Row

labels = st.text(alphabet='ab ,;"#|\u2028\x85é', min_size=1).map(str.strip).filter(bool)
paths = st.text(alphabet="ab ,;#/é", min_size=1).map(str.strip).filter(bool)

WORDS = """\
#--- words.txt ---------------------------------------------------------------#
#
a01-000u-00-00 ok 154 408 768 27 51 AT A
a01-000u-00-01 err 154 507 766 213 48 NN MOVE
a01-000x-00-02 ok 156 -1 -1 -1 -1 . "

c03-094a-01-00 ok 156 395 932 441 100 NN two words #1
"""


@given(st.lists(st.tuples(paths, labels), min_size=1), st.sampled_from(["\n", "\r\n", "\r"]))
def test_lists_with_tabs_come_back(pairs: list[tuple[str, str]], newline: str) -> None:
    text = newline.join(f"{path}\t{label}" for path, label in pairs)
    assert [(row.image, row.label) for row in rows(text + newline, "t")] == pairs


@given(st.lists(st.tuples(paths.filter(lambda path: " " not in path), labels), min_size=1))
def test_lists_with_spaces_come_back(pairs: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{path} {label}" for path, label in pairs)
    assert [(row.image, row.label) for row in rows(text, "t")] == pairs


def test_a_label_may_be_missing_or_hold_quotes() -> None:
    assert list(rows('a.png\t\nb.png\t "1" 2 \n', "t")) == [Row("line 1", "a.png", ""), Row("line 2", "b.png", '"1" 2')]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\t1\t2", "t, line 1: 2 tabs; expected the path"),
        ("a.png\t1\n\nb.png 2", "t, line 3: 0 tabs; expected the path"),
        ("a.png,12", "t, line 1: 'a.png,12' has no tab and no space; expected the path"),
    ],
)
def test_a_line_that_cannot_be_split(text: str, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        list(rows(text, "t"))
    assert message in str(caught.value)


def test_words_of_iam() -> None:
    assert is_iam(WORDS)
    assert iam_rows(WORDS.replace("\n", "\r\n"), "t") == (
        [
            Row("line 3", "a01/a01-000u/a01-000u-00-00.png", "A"),
            Row("line 5", "a01/a01-000x/a01-000x-00-02.png", '"'),
            Row("line 7", "c03/c03-094a/c03-094a-01-00.png", "two words #1"),
        ],
        1,
    )


@pytest.mark.parametrize("text", ["", "# only\n", "a.png\tA", "a01-000u ok 154 19 408 746 1661 89 A|MOVE|to"])
def test_other_lists_are_no_words_of_iam(text: str) -> None:
    assert not is_iam(text)


@pytest.mark.parametrize("line", ["a01-000u-00-00 ok 154 408 768 27 51 AT", "a01 ok 1 2 3 4 5 AT A", "../x-y-1 A"])
def test_a_line_that_is_no_word_of_iam(line: str) -> None:
    with pytest.raises(DatasetError, match=r"t, line 8: .* is no word of IAM, expected such as 'a01-000u-00-00 ok"):
        iam_rows(f"{WORDS}{line}", "t")
