from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_crnn.errors import InputError
from edge_crnn.watch.event import Event
from edge_crnn.watch.sinks.form import EventRecord, as_json, dumps, event_schema, parse
from tests.edge_crnn.watch.sinks.events import an_event

_finite = st.floats(allow_nan=False, allow_infinity=False)
_text = st.text(st.characters(exclude_categories=["Cs"]))

_events = st.builds(
    Event,
    kind=st.sampled_from(["new", "update", "end"]),
    identity=_text,
    camera=_text,
    region=_text,
    text=_text,
    label=_text,
    confidence=_finite,
    accepted=st.booleans(),
    agreeing=st.integers(0, 10**6),
    sightings=st.integers(0, 10**6),
    first_seen=_finite,
    last_seen=_finite,
    delay=_finite,
    quad=arrays(np.float32, (4, 2), elements=st.floats(-1e6, 1e6, width=32)),
    crop=st.just(np.zeros((2, 3, 3), np.uint8)),
    listed=st.sampled_from(["allowed", "blocked", "unlisted"]),
    rescued=st.booleans(),
    direction=st.none() | _text,
)


@given(_events)
def test_any_event_is_parsed_back(event: Event) -> None:
    line = dumps(as_json(event))
    assert "\n" not in line
    record = parse(line, "line 1")
    for field in dataclasses.fields(EventRecord):
        if field.name not in ("version", "quad"):
            assert getattr(record, field.name) == getattr(event, field.name), field.name
    assert np.array_equal(np.array(record.quad, np.float32), event.quad)


def test_the_object_has_the_fields_of_the_record_and_begins_with_its_version() -> None:
    content = as_json(an_event())
    assert set(content) == {field.name for field in dataclasses.fields(EventRecord)} == set(event_schema()["required"])
    assert dumps(content).startswith('{"version": 1')


def test_the_schema_describes_the_fields() -> None:
    properties = event_schema()["properties"]
    assert all("description" in properties[name] for name in ("kind", "label", "quad"))


def test_every_field_of_an_event_but_the_crop_is_in_the_object() -> None:
    assert {field.name for field in dataclasses.fields(Event)} - {"crop"} == set(as_json(an_event())) - {"version"}


def test_half_characters_do_not_prevent_writing() -> None:
    line = dumps(as_json(an_event(text="a\udc80")))
    assert json.loads(line.encode())["text"] == "a\udc80"


@pytest.mark.parametrize("field", ["identity", "quad", "kind", "listed"])
def test_an_incomplete_object_is_refused(field: str) -> None:
    content = as_json(an_event())
    del content[field]
    with pytest.raises(InputError, match=field):
        parse(dumps(content), "line 7")


def test_later_fields_are_ignored_and_other_versions_refused() -> None:
    content = as_json(an_event())
    assert parse(dumps({**content, "colour": "red"}), "line").text == "서울 18 나 6897"
    with pytest.raises(InputError, match="version"):
        parse(dumps({**content, "version": 2}), "line")
    with pytest.raises(InputError, match="not JSON"):
        parse("{", "line")


def test_numbers_of_numpy_are_written() -> None:
    event = an_event(confidence=np.float32(0.5), accepted=np.bool_(True), agreeing=np.int64(2))
    record = parse(dumps(as_json(event)), "line")
    assert (record.confidence, record.accepted, record.agreeing) == (0.5, True, 2)


@pytest.mark.parametrize("character", ["\x9b", "\x7f", "\u0085", "\u2028"])
def test_control_characters_reach_no_terminal_and_break_no_line(character: str) -> None:
    line = dumps({"camera": f"gate{character}"})
    assert len(line.splitlines()) == 1
    assert character not in line
    assert json.loads(line) == {"camera": f"gate{character}"}
