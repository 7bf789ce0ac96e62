from __future__ import annotations

import time

import pytest

from edge_crnn.errors import SourceError
from edge_crnn.watch.sources import FakeSource
from tests.edge_crnn.watch.sources.videos import frame, number_of


def test_a_recording_begins_anew() -> None:
    source = FakeSource([frame(0), frame(1)], rate=10)
    for _ in range(2):
        source.open()
        contents = [source.read(), source.read(), source.read()]
        assert [content and (number_of(content[0]), content[1]) for content in contents] == [(0, 0.0), (1, 0.1), None]
        source.close()
    assert not source.is_open
    assert source.opened == 2


def test_a_camera_fails_once_refuses_and_continues() -> None:
    source = FakeSource((frame(n) for n in range(3)), is_live=True, faults={1: "the cable is cut"}, refusals=2)
    source.open()
    assert source.read() is not None
    with pytest.raises(SourceError, match="cable"):
        source.read()
    for _ in range(2):
        with pytest.raises(SourceError, match="refused"):
            source.open()
    source.open()
    content = source.read()
    assert content is not None
    assert number_of(content[0]) == 1
    assert content[1] is None
    source.read()
    for action in (source.read, source.open):
        with pytest.raises(SourceError, match="over"):
            action()


def test_pace_and_silence() -> None:
    source = FakeSource([frame(0)] * 4, rate=50, is_live=True, faults={2: 0.1})
    source.open()
    started = time.monotonic()
    for _ in range(4):
        source.read()
    assert 0.12 <= time.monotonic() - started < 10


def test_it_must_be_open() -> None:
    with pytest.raises(SourceError, match="open"):
        FakeSource([]).read()
