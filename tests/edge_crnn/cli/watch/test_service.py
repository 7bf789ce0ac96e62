"""What systemd hears from the command, in place of which the test listens."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_crnn.cli.watch.running import PATIENCE_S, watching
from tests.edge_crnn.watch.sources.videos import endless, free_port, mjpeg_server

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform == "win32", reason="systemd is part of Linux"),
]


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the other end of the socket, to which a sign of life is due every 0.1 s."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield manager


def test_a_camera_that_is_away_delays_neither_readiness_nor_signs_of_life(heard: socket.socket) -> None:
    port = free_port()
    with watching(f"http://127.0.0.1:{port}/") as process:
        first = [heard.recv(999).decode() for _ in range(6)]
        ready = [message for message in first if message.startswith("READY=1")]
        assert len(ready) == 1
        assert "cannot be read" in ready[0]
        assert sum(message.startswith("WATCHDOG=1") for message in first) == 5
        with mjpeg_server(endless, port):
            while "cannot be read" in heard.recv(999).decode():
                pass
        process.send_signal(signal.SIGTERM)
        while (last := heard.recv(999).decode()).startswith("WATCHDOG=1"):
            pass
        assert last == "STOPPING=1"
        assert process.wait(PATIENCE_S) == 0
