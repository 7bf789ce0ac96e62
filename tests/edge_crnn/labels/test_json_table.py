from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import DatasetError
from edge_crnn.labels.json_table import line_rows, rows

texts = st.text(alphabet='ab ,;\t"\n\\\u2028é가\ud800')


@given(st.dictionaries(texts, texts), st.booleans())
def test_a_map_comes_back(data: dict[str, str], ascii_: bool) -> None:
    assert {row.image: row.label for row in rows(json.dumps(data, ensure_ascii=ascii_), "t")} == data


@given(st.lists(st.tuples(texts, texts)), st.sampled_from(["image", "file_name", "Path"]), st.booleans())
def test_objects_come_back_from_a_list_and_from_lines(pairs: list[tuple[str, str]], name: str, ascii_: bool) -> None:
    data = [{name: image, "score": 1, "text": label} for image, label in pairs]
    assert [(row.image, row.label) for row in rows(json.dumps(data, ensure_ascii=ascii_), "t")] == pairs
    lines = "".join(f"{json.dumps(record, ensure_ascii=ascii_)}\r\n\n" for record in data)
    assert [(row.image, row.label) for row in line_rows(lines, "t")] == pairs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t: no JSON (Expecting value"),
        ("{", "t: no JSON ("),
        ("[" * 100_000, "t: no JSON ("),
        ('"a.png"', "t: found str, expected an object"),
        ('{"a.png": 12}', "t, entry 1: found 12, expected a string; write it in double quotes"),
        ('{"a.png": {"label": "x"}}', 't, entry 1: found {"label": "x"}, expected a string'),
        ('{"a.png": "1", "b.png": "2", "a.png": "3"}', "t: 'a.png' occurs twice; keep one"),
        ('[{"image": "a.png"}]', 't, entry 1: found {"image": "a.png"}, expected an object with one of image,'),
        ('[{"image": "a", "path": "b", "text": "c"}]', "t, entry 1: found"),
        ('[{"image": "a", "label": null}]', "t, entry 1: found null, expected a string"),
        ('[["a.png", "1"]]', 't, entry 1: found ["a.png", "1"], expected an object'),
    ],
)
def test_json_that_is_no_table(text: str, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        list(rows(text, "t"))
    assert message in str(caught.value)


@given(st.text())
def test_no_text_gives_another_error(text: str) -> None:
    for read in (rows, line_rows):
        with suppress(DatasetError):
            list(read(text, "t"))


def test_a_line_that_is_no_object_is_named() -> None:
    with pytest.raises(DatasetError, match=r"t, line 3: no JSON"):
        list(line_rows('{"image": "a", "label": "1"}\n\n{"image"\n', "t"))
    with pytest.raises(DatasetError, match=r"t, line 1: found 12, expected an object with one of image, filename"):
        list(line_rows("12", "t"))
