from __future__ import annotations

import json

import pytest

from edge_crnn.errors import ImageError
from edge_crnn.reading import Alternative, Character, Reading
from edge_crnn.scale.rows import Format, row, shard_writer

READING = Reading(
    "서울 18 나 6897",
    "A18sk6897",
    0.75,
    (Character("A", 0.5, (0, 1)),),
    (Alternative("x", "y", 0.25),),
    accepted=True,
)
ROWS = [
    row("plate.png", READING, "0" * 64),
    row("caf\udce9.png", ImageError("caf\udce9.png: no image"), "0" * 64),
    row("other.png", Reading("", "", 0.0, (), (), accepted=False, weighted=0.5, damaged=True), "0" * 64),
]


def test_rows_have_the_same_columns_and_escape_names_that_are_not_utf_8() -> None:
    assert [list(row) for row in ROWS] == [list(ROWS[0])] * 3
    assert ROWS[0]["alternatives"] == [{"text": "x", "label": "y", "confidence": 0.25, "weighted": None}]
    assert ROWS[1]["image"] == "caf\\udce9.png"
    assert (ROWS[1]["text"], ROWS[1]["confidence"], ROWS[1]["accepted"]) == (None, None, False)
    assert ROWS[2]["error"] is None


def content(form: Format, count: int = 1) -> bytes:
    writer = shard_writer(form)
    for values in ROWS * count:
        writer.add(values)
    return writer.finish()


def test_json_lines() -> None:
    assert [json.loads(line) for line in content("jsonl").splitlines()] == ROWS
    assert "서울".encode() in content("jsonl")


@pytest.mark.parametrize("control", ["\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e"])
def test_json_lines_have_no_control_characters(control: str) -> None:
    writer = shard_writer("jsonl")
    writer.add(row(f"a{control}.png", READING, "0" * 64))
    text = writer.finish().decode()
    assert control not in text
    assert [json.loads(line)["image"] for line in text.splitlines()] == [f"a{control}.png"]


def test_parquet() -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow comes with edge-crnn[scale]")
    from pyarrow import parquet

    table = parquet.read_table(pa.BufferReader(content("parquet", 1000)))
    assert table.to_pylist() == ROWS * 1000
    assert table.schema.names == list(ROWS[0])
    assert parquet.read_table(pa.BufferReader(shard_writer("parquet").finish())).num_rows == 0


def test_shards_are_reproducible() -> None:
    pytest.importorskip("pyarrow", reason="pyarrow comes with edge-crnn[scale]")
    assert content("parquet") == content("parquet")
