from __future__ import annotations

import signal
import sys
import time

import pytest

from edge_crnn.serve.stop import Stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM for handlers")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_sets_a_flag_and_calls_what_comes_then(number: signal.Signals) -> None:
    called: list[str] = []
    before = signal.getsignal(number)
    with Stop() as stop:
        stop.then(lambda: called.append("first"))
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked
        stop.then(lambda: called.append("late"))
        begin = time.monotonic()
        stop.sleep(60)
        assert time.monotonic() - begin < 10
    assert called == ["first", "late"]
    assert signal.getsignal(number) == before


def test_a_second_signal_ends_as_usual() -> None:
    with Stop():
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_may_interrupt_once(second: signal.Signals) -> None:
    before = signal.getsignal(second)
    with Stop(interrupts=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)
        signal.raise_signal(signal.SIGTERM)  # ignored, while everything is closed
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(second) == before
