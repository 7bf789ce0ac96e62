from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from edge_crnn.bench import contention
from edge_crnn.bench.contention import Contention

_SPIN = "import time; end = time.monotonic() + 30\nwhile time.monotonic() < end: pass"


def _work_seen_besides_us() -> float:
    with subprocess.Popen([sys.executable, "-c", _SPIN]) as other:
        try:
            counted = Contention([os.getpid()])
            before = contention._process_s(other.pid)
            while contention._process_s(other.pid) - before < 0.3:  # work done, whatever the machine leaves it
                time.sleep(0.05)
            elapsed = time.monotonic() - counted._started
            return counted.cores() * elapsed
        finally:
            other.kill()


def test_another_programs_work_counts() -> None:
    assert _work_seen_besides_us() >= 0.25


def test_work_of_child_processes_counts_as_our_own() -> None:
    before = contention._process_s(os.getpid())
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert contention._process_s(os.getpid()) - before >= 0.28


def test_the_work_of_the_measured_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"all": 100.0, "own": 40.0}
    monkeypatch.setattr(contention, "_busy_s", lambda: seconds["all"])
    monkeypatch.setattr(contention, "_process_s", lambda pid: seconds["own"])
    monkeypatch.setattr(time, "monotonic", iter([0.0, 10.0]).__next__)
    counted = Contention([1])
    seconds.update(all=119.0, own=54.0)
    assert counted.cores() == pytest.approx(0.5)
