from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import BackendUnavailable, SourceError
from edge_crnn.watch.frame import Frame, Pixels
from edge_crnn.watch.newest import Newest
from edge_crnn.watch.sources import FakeSource
from edge_crnn.watch.sources.file import FileSource

WAITS = (0.01, 0.04)


def silent(text: str) -> None:
    """Write no note."""


def frames(count: int) -> list[Pixels]:
    return [np.full((2, 3, 3), number, np.uint8) for number in range(count)]


def endless() -> Iterator[Pixels]:
    number = 0
    while True:
        yield np.full((2, 3, 3), number % 256, np.uint8)
        number += 1


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def shown(frame: Frame | None) -> int | None:
    return None if frame is None else int(frame.pixels[0, 0, 0])


def test_a_recording_loses_nothing_however_slowly_it_is_taken() -> None:
    with Newest(FakeSource(frames(20), rate=10), wall_clock=lambda: 1000.0) as newest:
        taken = []
        for frame in newest:
            time.sleep(0.002)
            taken.append((frame.number, frame.seconds, frame.time, shown(frame)))
        assert newest.ended
        assert newest.take() is None
    assert taken == [(n, n / 10, 1000 + n / 10, n) for n in range(20)]
    assert (newest.counts.delivered, newest.counts.dropped) == (20, 0)


def test_few_frames_of_a_recording_are_read_ahead() -> None:
    with Newest(FakeSource(frames(100))) as newest:
        wait_until(lambda: newest.counts.read >= 2)
        time.sleep(0.02)
        assert newest.counts.read <= 3


def test_of_a_camera_the_newest_frame_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.watch.newest._CLOSING_S", 0.01)  # it is silent at the end
    source = FakeSource(frames(30), is_live=True, faults={10: 0.1, 30: 60})
    with Newest(source, note=silent) as newest:
        wait_until(lambda: newest.counts.read == 10)
        first = newest.take(1)
        wait_until(lambda: newest.counts.read == 30)
        second = newest.take(1)
        assert first is not None
        assert second is not None
        assert [(frame.number, shown(frame)) for frame in (first, second)] == [(9, 9), (29, 29)]
        assert newest.take(0.01) is None
        assert not newest.ended
        counts = newest.counts
    assert (counts.read, counts.delivered, counts.dropped) == (30, 2, 28)


@given(
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.003]), max_size=8),
    faults=st.dictionaries(st.integers(0, 14), st.sampled_from(["cut", "lost"]), max_size=3),
)
def test_numbers_increase_and_every_frame_is_counted(pauses: list[float], faults: dict[int, str]) -> None:
    source = FakeSource(frames(15), is_live=True, rate=2000, faults=faults, refusals=1)
    with Newest(source, note=silent, waits=(0.0005, 0.001)) as newest:
        taken = []
        for pause in pauses:
            time.sleep(pause)
            taken.append(newest.take(0.05))
        wait_until(lambda: newest.counts.read == 15)
        taken.append(newest.take(0.01))
        counts = newest.counts
    real = [frame for frame in taken if frame is not None]
    assert all(frame.number == shown(frame) for frame in real)
    assert all(later.number > earlier.number for earlier, later in pairwise(real))
    assert real[-1].number == 14
    assert counts.delivered == len(real)
    assert counts.read == counts.delivered + counts.dropped
    assert counts.reconnects == len([number for number in faults if number > 0])


def test_a_camera_returns_and_both_are_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.watch.newest._CLOSING_S", 0.01)  # it is silent at the end
    notes: list[str] = []
    source = FakeSource(frames(10), is_live=True, rate=200, faults={5: "the cable is cut", 10: 60}, refusals=3)
    with Newest(source, note=notes.append, waits=WAITS) as newest:
        wait_until(lambda: newest.counts.read == 10)
        counts = newest.counts
        assert (counts.reconnects, source.opened) == (1, 2)
        assert counts.last_error == "fake://camera: refused; open it again"
        assert counts.connected_since == pytest.approx(time.time(), abs=5)
    assert len(notes) == 2
    assert "the cable is cut" in notes[0]
    assert "come again" in notes[1]


def test_attempts_become_rarer_up_to_a_limit() -> None:
    attempts: list[float] = []

    class FakeAbsentCamera(FakeSource):
        def open(self) -> None:
            attempts.append(time.monotonic())
            raise SourceError("no route to the camera")

    with Newest(FakeAbsentCamera([], is_live=True), note=silent, waits=(0.02, 0.08)) as newest:
        assert newest.take(0.5) is None
        assert newest.counts.connected_since is None
    gaps = [later - earlier for earlier, later in pairwise(attempts)]
    assert gaps[0] < gaps[2]
    assert all(0.015 < gap < 3 for gap in gaps)
    assert len(attempts) <= 9


def test_the_time_that_an_attempt_takes_is_part_of_the_wait() -> None:
    attempts: list[float] = []

    class FakeUnreachableCamera(FakeSource):
        def open(self) -> None:
            attempts.append(time.monotonic())
            time.sleep(0.1)
            raise SourceError("no answer")

    with Newest(FakeUnreachableCamera([], is_live=True), note=silent, waits=(0.01, 0.1)) as newest:
        newest.take(0.8)
    assert min(later - earlier for earlier, later in list(pairwise(attempts))[3:]) < 0.18


def test_the_wait_ends_with_close() -> None:
    newest = Newest(FakeSource([], is_live=True), note=silent, waits=(60, 60))
    wait_until(lambda: newest.counts.last_error is not None)
    taken: list[Frame | None] = [Frame(0, 0.0, 0.0, frames(1)[0])]
    taker = threading.Thread(target=lambda: taken.extend(newest))
    taker.start()
    started = time.monotonic()
    newest.close()
    taker.join(1)
    assert time.monotonic() - started < 5
    assert not taker.is_alive()
    assert len(taken) == 1
    assert newest.ended
    assert not newest._thread.is_alive()


def test_close_closes_the_source_also_within_a_recording() -> None:
    source = FakeSource(endless())
    with Newest(source) as newest:
        next(iter(newest))
    assert not newest._thread.is_alive()
    assert not source.is_open
    assert newest.take() is None
    newest.close()


def test_a_recording_that_breaks_is_an_error_after_its_frames() -> None:
    with Newest(FakeSource(frames(5), faults={3: "damaged from here on"})) as newest:
        taken = []
        with pytest.raises(SourceError, match="damaged from here on"):
            taken.extend(shown(frame) for frame in newest)
        assert newest.ended
        assert newest.take() is None
    assert newest.counts.delivered == 3


@pytest.mark.parametrize(
    ("error", "is_live"), [(BackendUnavailable("install PyAV"), True), (ZeroDivisionError(), False)]
)
def test_errors_that_do_not_pass_reach_the_taker(error: Exception, is_live: bool) -> None:
    class FakeBrokenSource(FakeSource):
        def open(self) -> None:
            raise error

    with Newest(FakeBrokenSource([], is_live=is_live)) as newest, pytest.raises(type(error)):
        newest.take(5)


def test_a_camera_that_confuses_a_decoder_is_opened_again() -> None:
    class FakeConfusingSource(FakeSource):
        def read(self) -> tuple[Pixels, float | None] | None:
            content = super().read()
            if shown(Frame(0, 0.0, 0.0, content[0])) == 3 and self.opened == 1:  # type: ignore[index]
                raise IndexError("list index out of range")
            return content

        def close(self) -> None:
            super().close()
            raise OSError("it was unplugged")

    notes: list[str] = []
    with Newest(FakeConfusingSource(endless(), rate=100, is_live=True), note=notes.append, waits=WAITS) as newest:
        wait_until(lambda: newest.counts.reconnects == 1)
        assert newest.take(5) is not None
    assert len(notes) == 2
    assert "list index out of range" in notes[0]


def test_clocks_are_those_that_are_given() -> None:
    with Newest(
        FakeSource(frames(1), is_live=True), note=silent, clock=lambda: 7.0, wall_clock=lambda: 9.0, waits=WAITS
    ) as newest:
        frame = newest.take(5)
    assert frame is not None
    assert (frame.seconds, frame.time) == (7.0, 9.0)


def test_frames_that_were_dropped_are_not_kept() -> None:
    alive: list[weakref.ref[Pixels]] = []

    def watched() -> Iterator[Pixels]:
        for pixels in endless():
            alive.append(weakref.ref(pixels))
            yield pixels

    with Newest(FakeSource(watched(), is_live=True), note=silent) as newest:
        wait_until(lambda: newest.counts.read > 200)
    gc.collect()
    assert sum(reference() is not None for reference in alive) <= 3


def test_a_start_is_the_first_frame_or_the_first_failure() -> None:
    with Newest(FakeSource(frames(3)), note=silent) as newest:
        assert newest.wait_for_start(5)
        assert newest.has_started
        assert [shown(frame) for frame in newest] == [0, 1, 2]
    source = FakeSource(frames(3), is_live=True, faults={0: "lost"})
    with Newest(source, note=silent, waits=(0.3, 0.3)) as newest:
        assert newest.wait_for_start(5)
        assert newest.counts.last_error is not None
        assert newest.counts.read == 0


def test_a_start_that_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.watch.newest._CLOSING_S", 0.01)
    with Newest(FakeSource(frames(3), is_live=True, faults={0: 0.5}), note=silent) as newest:
        assert not newest.wait_for_start(0.01)
        assert not newest.has_started
        assert newest.wait_for_start(5)


def test_a_recording_that_cannot_be_read_fails_at_the_start_and_when_a_frame_is_taken() -> None:
    with Newest(FileSource("missing.mp4"), note=silent) as newest:
        for attempt in (newest.wait_for_start, newest.wait_for_start, newest.take):
            with pytest.raises(SourceError, match=r"missing\.mp4"):
                attempt()


def test_every_take_calls_what_wants_to_know() -> None:
    calls: list[int] = []
    with Newest(FakeSource(frames(3)), note=silent) as newest:
        newest.on_take = lambda: calls.append(threading.get_ident())
        assert len(list(newest)) == 3
    assert calls == [threading.get_ident()] * 4
