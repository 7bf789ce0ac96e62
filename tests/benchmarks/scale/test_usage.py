from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.scale.usage import Memory, processor_s

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed in /proc")


@pytest.mark.thorough
def test_the_time_of_descendants_counts() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); input()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while processor_s(process.pid) < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert 0.3 <= processor_s(process.pid) < 3
        process.communicate(b"\n")


def test_the_memory_of_workers_is_sampled() -> None:
    with Path("/proc/self/statm").open() as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    most = Memory(os.getpid(), lambda command: b"python" in command).close()
    assert max(most) >= resident * 0.9
    assert Memory(os.getpid(), lambda command: False).close() == []
