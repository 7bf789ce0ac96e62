"""A real server, through GStreamer, which is killed and started again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_crnn.errors import SourceError
from edge_crnn.watch.newest import Newest
from edge_crnn.watch.sources.rtsp import RtspSource
from tests.edge_crnn.watch.sources.videos import free_port, wait_for_outage

_PYTHON = "/usr/bin/python3"
_SERVER = Path(__file__).with_name("rtsp_server.py")
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def _has_server() -> bool:
    return Path(_PYTHON).exists() and not subprocess.run([_PYTHON, "-c", _BINDINGS], capture_output=True).returncode


pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        not _has_server(), reason=f"{_PYTHON} has no GStreamer RTSP server (apt: gir1.2-gst-rtsp-server-1.0)"
    ),
]


@contextmanager
def rtsp_server(port: int, *login: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([_PYTHON, str(_SERVER), str(port), *login], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_frames_continue_after_the_server_was_killed() -> None:
    port = free_port()
    notes: list[str] = []
    with Newest(RtspSource(f"rtsp://127.0.0.1:{port}/camera"), note=notes.append) as frames:
        with rtsp_server(port):
            first = frames.take(10)
            assert first is not None
            assert first.pixels.shape == (240, 320, 3)
        number = frames.counts.read
        wait_for_outage(frames)
        with rtsp_server(port):
            returned = time.monotonic()
            again = frames.take(10)
            assert again is not None
            assert time.monotonic() - returned < 10  # 5 s on a machine with nothing else to do
            wait_until(lambda: any("come again" in note for note in notes))
            assert again.number >= number
        counts = frames.counts
    assert counts.reconnects >= 1
    assert "127.0.0.1" in str(counts.last_error)
    assert any("trying again" in note for note in notes)


def test_a_camera_that_hangs_is_silent() -> None:
    port = free_port()
    with rtsp_server(port) as server:
        source = RtspSource(f"rtsp://127.0.0.1:{port}/camera", timeout=(10.0, 0.5))
        source.open()
        assert source.read() is not None
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(SourceError, match=r"no data for 0\.5 s"):  # noqa: PT012 - what was sent before comes first
            for _ in range(100):
                source.read()
        source.close()


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_password_is_used_and_never_shown() -> None:
    port = free_port()
    with rtsp_server(port, "admin", "geheim"):
        source = RtspSource(f"rtsp://admin:geheim@127.0.0.1:{port}/camera")
        source.open()
        assert source.read() is not None
        source.close()
        wrong = RtspSource(f"rtsp://admin:falsch@127.0.0.1:{port}/camera")
        with pytest.raises(SourceError, match="user and the password") as caught:
            wrong.open()
        assert "falsch" not in f"{caught.value} {caught.value.__cause__} {source!r} {wrong!r}"


def test_a_path_that_does_not_exist_is_an_error() -> None:
    port = free_port()
    with rtsp_server(port), pytest.raises(SourceError, match="path"):
        RtspSource(f"rtsp://127.0.0.1:{port}/other").open()
