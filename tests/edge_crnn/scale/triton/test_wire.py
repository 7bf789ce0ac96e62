from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import BackendError, ImageError
from edge_crnn.reading import Alternative, Character, Reading
from edge_crnn.scale.triton.wire import READING, packed, reading_json, readings_in, request_body, unpacked

numbers = st.floats(0, 1)
texts = st.text(max_size=9)
readings = st.builds(
    Reading,
    texts,
    texts,
    numbers,
    st.lists(st.builds(Character, texts, numbers, st.tuples(st.integers(0, 9), st.integers(0, 9)))).map(tuple),
    st.lists(st.builds(Alternative, texts, texts, numbers, st.none() | numbers)).map(tuple),
    st.booleans(),
    st.none() | numbers,
    st.booleans(),
    st.booleans(),
)
results = readings | texts.map(ImageError)


def answer(outputs: list[dict[str, Any]], data: bytes) -> tuple[bytes, int]:
    head = json.dumps({"outputs": outputs}).encode()
    return head + data, len(head)


def output(data: bytes, name: str = READING) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}


@given(st.lists(st.binary()))
def test_elements_survive(elements: list[bytes]) -> None:
    assert unpacked(packed(elements)) == elements


@given(st.lists(st.binary(max_size=20), min_size=1), st.data())
def test_elements_that_are_cut_short_are_an_error(elements: list[bytes], data: st.DataObject) -> None:
    whole = packed(elements)
    ends = {len(packed(elements[:count])) for count in range(len(elements) + 1)}
    length = data.draw(st.integers(0, len(whole) - 1).filter(lambda place: place not in ends))
    with pytest.raises(ValueError, match="binary data ends within"):
        unpacked(whole[:length])


@given(st.lists(results), st.binary(max_size=20))
def test_results_survive_beside_other_outputs(sent: list[Reading | ImageError], other: bytes) -> None:
    data = packed([reading_json(result) for result in sent])
    body, length = answer([output(other, "text"), output(data)], other + data)
    received = readings_in(body, length, len(sent))
    assert [str(result) for result in received] == [str(result) for result in sent]
    assert [result for result in received if isinstance(result, Reading)] == [
        result for result in sent if isinstance(result, Reading)
    ]


def test_an_answer_may_be_plain_json() -> None:
    reading = Reading("서울", "A", 0.5, (), (), accepted=True)
    body, _ = answer([{"name": READING, "datatype": "BYTES", "data": [reading_json(reading).decode()]}], b"")
    assert readings_in(body, None, 1) == [reading]


@given(st.binary() | st.lists(st.fixed_dictionaries({"name": st.just(READING)})).map(lambda o: answer(o, b"")[0]))
def test_any_other_answer_is_one_error(body: bytes) -> None:
    with pytest.raises(BackendError, match="cannot be understood"):
        readings_in(body, len(body) // 2 if len(body) % 2 else None, 1)


@pytest.mark.parametrize(
    "text", [b"{}", b"[]", b'{"text": 1}', b'{"error": 5}', b"\xff", reading_json(ImageError("x")) + b"}"]
)
def test_a_reading_of_another_form_is_an_error(text: bytes) -> None:
    with pytest.raises(BackendError):
        readings_in(*answer([output(packed([text]))], packed([text])), 1)


def test_the_number_of_readings_is_checked() -> None:
    data = packed([reading_json(ImageError("x"))])
    with pytest.raises(BackendError, match="1 readings of 2 images"):
        readings_in(*answer([output(data)], data), 2)


def test_a_request_with_files() -> None:
    body, length = request_body([b"one", b"three"])
    assert json.loads(body[:length])["inputs"] == [
        {"name": "image", "shape": [2, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 16}}
    ]
    assert unpacked(body[length:]) == [b"one", b"three"]


def test_a_request_with_pixels() -> None:
    images = [np.full((2, 3, 1), level, np.uint8) for level in (7, 9)]
    body, length = request_body(images)
    (tensor,) = json.loads(body[:length])["inputs"]
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("pixels", [2, 2, 3, 1], "UINT8")
    assert body[length:] == bytes([7] * 6 + [9] * 6)
