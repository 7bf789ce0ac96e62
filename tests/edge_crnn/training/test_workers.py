from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from edge_crnn.errors import BackendError
from edge_crnn.training.workers import workers

pytestmark = pytest.mark.thorough


def test_workers_run_begin_and_ignore_interrupts() -> None:
    with workers(2, os.putenv, "EDGE_CRNN_TEST", "begun") as pool:
        handlers = [pool.submit(signal.getsignal, signal.SIGINT).result() for _ in range(4)]
    assert handlers == [signal.SIG_IGN] * 4
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_error_of_a_worker_is_raised_in_the_parent() -> None:
    with workers(1) as pool, pytest.raises(FileNotFoundError):
        pool.submit(os.listdir, "/no/such/folder").result()


def test_a_killed_worker_is_a_clear_error() -> None:
    """The pool's own exception says nothing that a user could do."""
    with pytest.raises(BackendError, match="--workers"), workers(1) as pool:
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


PARENT = """
import os, time
from edge_crnn.training.workers import workers
if __name__ == "__main__":
    with workers(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_none_outlives_a_killed_parent(tmp_path_factory: pytest.TempPathFactory) -> None:
    script = tmp_path_factory.mktemp("parent") / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.kill()
    for _ in range(200):
        if not _runs(worker):
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker went on")


def _runs(process: int) -> bool:
    """Return whether a process runs. A zombie, which init has yet to reap, does not."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
