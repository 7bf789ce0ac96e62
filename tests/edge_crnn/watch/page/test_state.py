from __future__ import annotations

import time

import numpy as np
import pytest

from edge_crnn.errors import InputError
from edge_crnn.watch import jpeg
from edge_crnn.watch.page.state import State
from tests.edge_crnn.watch.page.examples import a_frame, an_event


def test_the_last_event_of_a_passage_replaces_those_before_it() -> None:
    state = State("Gate")
    state.put(an_event(1, text="12 가 3456"))
    state.put(an_event(2))
    state.put(an_event(1, text="12 나 3456", kind="end"))
    entries, total = state.events()
    assert [(entry.event.text, entry.change) for entry in entries] == [("서울 18 나 6897", 2), ("12 나 3456", 3)]
    assert (total, state.counts()) == (2, {"new": 2, "update": 0, "end": 1})


def test_the_oldest_passages_are_forgotten() -> None:
    state = State("Gate", most_events=3)
    for number in range(5):
        state.put(an_event(number))
    assert [entry.event.identity[-2:] for entry in state.events()[0]] == ["04", "03", "02"]
    assert state.crop(an_event(1).identity) is None


def test_passages_are_forgotten_after_a_time() -> None:
    state = State("Gate", keep_s=60)
    state.put(an_event(1, last_seen=time.time() - 61))
    state.put(an_event(2, last_seen=time.time()))
    assert [entry.event.identity[-2:] for entry in state.events()[0]] == ["02"]
    assert state.crop(an_event(1).identity) is None


@pytest.mark.parametrize(
    "crop", [np.empty((0, 0, 3), np.uint8), np.zeros((2, 3, 7), np.uint8), np.zeros((0, 9), np.uint8)]
)
def test_an_event_whose_crop_cannot_be_encoded_is_kept(crop: np.ndarray) -> None:
    state = State("Gate")
    state.put(an_event(crop=crop))
    (entry,), _ = state.events()
    assert not entry.as_json()["has_crop"]


def test_a_crop_takes_bounded_memory() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 4000, 3), np.uint8)
    state = State("Gate")
    state.put(an_event(crop=noise))
    crop = state.crop(an_event().identity)
    assert crop is not None
    assert len(crop) < 100_000


def test_a_frame_is_encoded_once_for_all_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    monkeypatch.setattr(jpeg, "encode", lambda *arguments: encoded.append(1) or b"jpeg")
    state = State("Gate")
    assert state.live_jpeg(64) is None
    for number in range(2):
        state.show(a_frame(number))
        for _ in range(3):
            state.live_jpeg(64)
    assert len(encoded) == 2


def test_a_state_needs_room_for_events() -> None:
    with pytest.raises(InputError, match="most_events is 0"):
        State("Gate", most_events=0)
