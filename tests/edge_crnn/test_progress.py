from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest

from edge_crnn.progress import note, progress


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("edge_crnn.progress.time", types.SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A real terminal as stderr; call it for what was written since."""
    controller, device = os.openpty()

    def written() -> str:
        os.write(device, b"\0")  # a terminal passes on in its own time; this comes last
        text = b""
        while not text.endswith(b"\0"):
            text += os.read(controller, 1 << 16)
        return text[:-1].decode()

    stream: TextIO = os.fdopen(device, "w")
    # Not sys.stderr itself, which pytest sets anew before the test runs.
    monkeypatch.setattr("edge_crnn.progress.sys", types.SimpleNamespace(stderr=stream))
    monkeypatch.setenv("COLUMNS", "100")
    yield written
    stream.close()
    os.close(controller)


def on_screen(written: str) -> str:
    """The line that a terminal shows after `written`."""
    line: list[str] = []
    place = 0
    for symbol in written:
        if symbol == "\r":
            place = 0
        else:
            line[place : place + 1] = [symbol]
            place += 1
    return "".join(line).rstrip()


def work(clock: Clock, count: int, seconds: float) -> Iterator[int]:
    for item in range(count):
        yield item
        clock.now += seconds


def test_a_long_job_shows_how_far_it_is(clock: Clock, terminal: Callable[[], str]) -> None:
    shown = [on_screen(terminal()) for _ in progress(work(clock, 10, 0.5), 10, "read")]
    assert shown[:2] == ["", ""]
    assert shown[2] == "read [####                ] 2/10  2.0/s  4 s left"
    assert shown[9] == "read [##################  ] 9/10  2.0/s  0 s left"


def test_the_line_is_wiped_at_the_end(clock: Clock, terminal: Callable[[], str]) -> None:
    assert list(progress(work(clock, 30, 0.5), 30, "read")) == list(range(30))
    everything = terminal()
    assert "29/30" in everything
    assert "\n" not in everything
    assert on_screen(everything) == ""


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_line_is_wiped_after_an_error(
    clock: Clock, terminal: Callable[[], str], error: type[BaseException]
) -> None:
    def failing() -> Iterator[int]:
        yield from work(clock, 5, 1.0)
        raise error

    with pytest.raises(error):
        list(progress(failing(), 9, "read"))
    everything = terminal()
    assert "4/9" in everything
    assert on_screen(everything) == ""


def test_the_line_is_wiped_when_the_loop_is_left(clock: Clock, terminal: Callable[[], str]) -> None:
    items = progress(work(clock, 9, 1.0), 9, "read")
    for item in items:
        if item == 5:
            break
    assert on_screen(terminal()) != ""
    items.close()
    assert on_screen(terminal()) == ""


def test_a_shorter_line_hides_a_longer_one(clock: Clock, terminal: Callable[[], str]) -> None:
    written = ""
    for item in progress(work(clock, 4, 0.9), 4, "read"):
        clock.now += (0, 0, 1000, 0)[item]
        written += terminal()
    assert on_screen(written[: written.rindex("\r")]).endswith("s left")
    assert on_screen(written).endswith(" left")


def test_it_is_redrawn_at_most_ten_times_a_second(clock: Clock, terminal: Callable[[], str]) -> None:
    list(progress(work(clock, 3000, 0.001), 3000, "read"))
    assert 15 <= terminal().count("read") <= 21


def test_the_line_is_never_wider_than_the_terminal(
    clock: Clock, terminal: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    list(progress(work(clock, 5, 1.0), 5, "a label longer than the terminal is wide"))
    assert max(map(len, terminal().split("\r"))) == 19


def test_a_short_job_is_silent(clock: Clock, terminal: Callable[[], str]) -> None:
    assert list(progress(work(clock, 9, 0.1), 9, "read")) == list(range(9))
    assert terminal() == ""


def test_more_items_than_announced(clock: Clock, terminal: Callable[[], str]) -> None:
    list(progress(work(clock, 9, 1.0), 0, "read"))
    assert "[####################] 8/0  1.0/s  0 s left" in terminal()


def test_silent_where_stderr_is_no_terminal(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    assert list(progress(work(clock, 9, 1.0), 9, "read")) == list(range(9))
    assert capfd.readouterr() == ("", "")


def test_silent_without_stderr(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress(work(clock, 9, 1.0), 9, "read")) == list(range(9))


def test_a_note_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    note("3 images\nhave no label")
    assert capsys.readouterr() == ("", "edge-crnn: 3 images have no label\n")
    monkeypatch.setattr(sys, "stderr", None)
    note("nobody listens")


def test_a_note_that_cannot_be_written_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as nobody_reads:
        monkeypatch.setattr(sys, "stderr", nobody_reads)
        note("one")
        with contextlib.suppress(BrokenPipeError):
            nobody_reads.close()
    note("two")
