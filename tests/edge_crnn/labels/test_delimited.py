from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import DatasetError
from edge_crnn.labels.delimited import delimiter_of, records, rows

delimiters = st.sampled_from([",", ";", "\t"])


def parsed(text: str, delimiter: str = ",") -> list[list[str]]:
    return [fields for _, fields in records(text, delimiter, "t.csv")]


@given(st.lists(st.lists(st.text(alphabet='ab ,;\t"\n\r\u2028é'), min_size=2)), delimiters)
def test_quoted_fields_come_back_as_they_are(table: list[list[str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(table)
    assert parsed(text.getvalue(), delimiter) == table


@given(st.text(alphabet='ab",\r\n'))
def test_without_white_space_it_reads_as_the_standard_library_does(text: str) -> None:
    def library() -> list[list[str]]:
        table = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [fields for fields in table if fields not in ([], [""])]

    try:
        expected = library()
    except csv.Error:
        with pytest.raises(DatasetError, match="a quote is not closed, or has text after it"):
            parsed(text)
    else:
        assert parsed(text) == expected


@given(st.text(alphabet='a ",;\t\r\n'), delimiters)
def test_no_text_gives_another_error(text: str, delimiter: str) -> None:
    try:
        table = parsed(text, delimiter)
    except DatasetError:
        return
    assert all(fields and fields != [""] for fields in table)


def test_white_space_is_stripped_unless_it_is_quoted() -> None:
    assert parsed(' a b ,\t" c "\t, "d""\n" \r\n') == [["a b", " c ", 'd"\n']]
    assert parsed('\ta b\t" c "', "\t") == [["", "a b", " c "]]


def test_lines_are_counted_over_quoted_ends_and_empty_lines() -> None:
    text = 'image,label\r\n\r\na.png,"1\r\n2"\nb.png,3\rc.png,4'
    assert [line for line, _ in records(text, ",", "t.csv")] == [1, 3, 5, 6]
    assert [row.place for row in rows(text, ",", "t.csv")] == ["line 3", "line 5", "line 6"]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("image,label", ","),
        ("Filename;Words", ";"),
        ("text\tfile", "\t"),
        ('"image","label"', ","),
        ("path,remark,label,", ","),
        ("file_name,text", ","),
        ("image", None),
        ("a.png,12", None),
        ("image,file,label", None),
        ("label,label,image", None),
        ('"image', None),
        ("", None),
    ],
)
def test_the_header_tells_the_delimiter(header: str, delimiter: str | None) -> None:
    assert delimiter_of(header) == delimiter_of(f"\n{header}\na.png,1;2\t3\n") == delimiter


def test_columns_are_taken_by_their_names() -> None:
    (row,) = rows("remark;LABEL;image\nx;AB;a.png", ";", "t.csv")
    assert (row.image, row.label) == ("a.png", "AB")
    assert [row.label for row in rows("image,label,remark\na.png,1\nb.png", ",", "t.csv")] == ["1", ""]


def test_a_surplus_field_is_refused() -> None:
    with pytest.raises(
        DatasetError, match=r"t\.csv, line 3: 3 fields, but the first line has 2; put a label that contains"
    ):
        list(rows('image,label\n2.jpg,"1,234"\n1.jpg,1,234\n', ",", "t.csv"))


SURPLUS = {
    "comma": "image,label\n1.jpg,1,234\n",
    "semicolon": "image;label\n1.jpg;1;234\n",
    "tab": "image\tlabel\n1.jpg\t1\t234\n",
    "the label first": "label,image\n1,234,1.jpg\n",
    "an empty name in the first line": "image,label,\n1.jpg,1,234\n",
    "several empty names": "image;label;;\n1.jpg;1;;234\n",
    "a quote that does not span the field": 'image,label\n1.jpg,1,"234"\n',
    "an empty surplus field": "image,label\n1.jpg,1,\n",
    "CRLF": "image,label\r\n1.jpg,1,234\r\n",
}


@pytest.mark.parametrize("table", SURPLUS.values(), ids=SURPLUS)
def test_a_label_is_never_cut_at_a_delimiter(table: str) -> None:
    """trocr#2, EasyOCR#1056: a label with a delimiter was cut there, and nothing was reported."""
    delimiter = delimiter_of(table)
    assert delimiter is not None
    with pytest.raises(DatasetError, match=r"t, line 2: .*double quotes"):
        list(rows(table, delimiter, "t"))


def test_empty_fields_below_empty_names_do_not_belong_to_the_label() -> None:
    assert [row.label for row in rows("image;label;;\n1.jpg;1;;\n2.jpg;2\n", ";", "t")] == ["1", "2"]


@given(st.lists(st.text(alphabet="ab1 ,;", min_size=1), min_size=1, max_size=3), delimiters)
def test_a_row_without_quotes_is_read_whole_or_rejected(labels: list[str], delimiter: str) -> None:
    table = f"image{delimiter}label\n" + "".join(f"1.jpg{delimiter}{label}\n" for label in labels)
    try:
        read = [row.label for row in rows(table, delimiter, "t")]
    except DatasetError:
        assert any(delimiter in label for label in labels)
    else:
        assert read == [label.strip() for label in labels]


@pytest.mark.parametrize("field", ['"12', '"1"2', '"1" 2', ' "12'])
def test_a_broken_quote_is_refused_with_its_line(field: str) -> None:
    with pytest.raises(DatasetError, match=r"t\.csv, line 2: a quote is not closed, or has text after it"):
        parsed(f"image,label\na.png,{field}\n")
