"""A real HTTP server, as cameras have."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.errors import SourceError
from edge_crnn.watch.newest import Newest
from edge_crnn.watch.sources.file import FileSource
from edge_crnn.watch.sources.http import HttpSource
from tests.edge_crnn.watch.sources.videos import (
    av,
    endless,
    frame,
    free_port,
    jpeg,
    mjpeg_server,
    number_of,
    wait_for_outage,
)


def read(source: HttpSource, count: int) -> list[int]:
    source.open()
    try:
        return [number_of(content[0]) for _ in range(count) if (content := source.read()) is not None]
    finally:
        source.close()


def test_images_come_in_order() -> None:
    with mjpeg_server(endless) as port:
        numbers = read(HttpSource(f"http://127.0.0.1:{port}/video"), 10)
    assert all((later - earlier) % 25 == 1 for earlier, later in pairwise(numbers))


@pytest.mark.thorough
def test_a_rate_leaves_images_out() -> None:
    with mjpeg_server(lambda: endless(50)) as port:
        source = HttpSource(f"http://127.0.0.1:{port}/video", rate=10)
        started = time.monotonic()
        numbers = read(source, 12)
        assert time.monotonic() - started > 0.7
    assert all(3 <= (later - earlier) % 25 <= 7 for earlier, later in pairwise(numbers[3:]))


def test_the_end_of_a_stream_is_a_failure() -> None:
    images = [jpeg(frame(number)) for number in range(8)]
    with mjpeg_server(lambda: iter(images)) as port, pytest.raises(SourceError, match=r"ended|cannot be read"):
        read(HttpSource(f"http://127.0.0.1:{port}/video"), 20)


def test_a_password_is_asked_for_and_never_shown() -> None:
    with mjpeg_server(endless, password="geheim") as port:
        assert len(read(HttpSource(f"http://admin:geheim@127.0.0.1:{port}/video"), 2)) == 2
        with pytest.raises(SourceError, match="user and the password") as caught:
            HttpSource(f"http://127.0.0.1:{port}/video?key=geheim").open()
    assert "geheim" not in str(caught.value)


def test_nobody_listens() -> None:
    with pytest.raises(SourceError, match="refused"):
        HttpSource(f"http://127.0.0.1:{free_port()}/video").open()


@pytest.mark.thorough
def test_sound_does_not_hide_that_the_video_has_stopped() -> None:
    stream = video_with_sound(frames=25, seconds=30)
    size = len(stream) // 300

    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
        for start in range(0, len(stream), size):
            time.sleep(0.02)
            yield stream[start : start + size]

    with stream_server(pieces) as port:
        source = HttpSource(f"http://127.0.0.1:{port}/video", timeout=(4.0, 1.0))
        source.open()
        started = time.monotonic()
        with pytest.raises(SourceError, match="no frame for 1 s, though data come"):  # noqa: PT012
            while True:
                source.read()
        assert time.monotonic() - started < 4
        source.close()


def video_with_sound(frames: int, seconds: float, sound_first: bool = False) -> bytes:
    """Return MPEG-TS whose video has 25 frames per second and may end before its sound."""
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as container:
        kinds = [("aac", 48000), ("libx264", 25)]
        made = {codec: container.add_stream(codec, rate=rate) for codec, rate in kinds[:: 1 if sound_first else -1]}
        video, sound = made["libx264"], made["aac"]
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"tune": "zerolatency"}
        number = 0
        for part in range(int(seconds * 48000 / 1024)):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 48000
            silence.pts = 1024 * part
            container.mux(sound.encode(silence))
            while number < min(frames, part * 1024 / 48000 * 25):
                container.mux(video.encode(av.VideoFrame.from_ndarray(frame(number), format="bgr24")))
                number += 1
    return content.getvalue()


@pytest.mark.parametrize("sound_first", [False, True])
def test_sound_is_left_out(tmp_path: Path, sound_first: bool) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(video_with_sound(frames=20, seconds=0.8, sound_first=sound_first))
    source = FileSource(str(path))
    source.open()
    numbers = []
    while (content := source.read()) is not None:
        numbers.append(number_of(content[0]))
    source.close()
    assert numbers == list(range(20))


@contextmanager
def stream_server(pieces: Callable[[], Iterator[bytes]]) -> Iterator[int]:
    """Send pieces to the first client, whatever they are, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                for piece in pieces():
                    connection.sendall(piece)

        threading.Thread(target=send, daemon=True).start()
        yield server.getsockname()[1]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\n\r\n"]
)
def test_silence_ends_with_the_time_out(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def accept() -> None:
            connection, _ = server.accept()
            connection.sendall(greeting)
            connections.append(connection)

        threading.Thread(target=accept, daemon=True).start()
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"0\.5 s"):
            HttpSource(f"http://127.0.0.1:{server.getsockname()[1]}/video", timeout=(0.5, 0.5)).open()
        assert time.monotonic() - started < 10
        for connection in connections:
            connection.close()


def test_the_size_may_change() -> None:
    def images() -> Iterator[bytes]:
        for number in range(10):
            yield jpeg(frame(0, 64 + 32 * (number // 5), 48))
        yield from endless()

    with mjpeg_server(images) as port:
        source = HttpSource(f"http://127.0.0.1:{port}/video")
        source.open()
        shapes = [content[0].shape for _ in range(10) if (content := source.read()) is not None]
        source.close()
    assert shapes == [(48, 64, 3)] * 5 + [(48, 96, 3)] * 5


@pytest.mark.thorough
def test_a_stream_that_grows_too_large_is_refused() -> None:
    small = jpeg(frame(0))
    large = jpeg(np.zeros((480, 640, 3), np.uint8))

    def images() -> Iterator[bytes]:
        yield from [small] * 8
        while True:
            yield large
            time.sleep(0.01)

    with mjpeg_server(images) as port, pytest.raises(SourceError, match="100,000 pixels"):
        read(HttpSource(f"http://127.0.0.1:{port}/video", most_pixels=100_000, timeout=(2, 1)), 20)


@pytest.mark.thorough
def test_a_stream_of_junk_is_refused_in_time() -> None:
    junk = np.random.default_rng(1).bytes(2000)

    def images() -> Iterator[bytes]:
        while True:
            yield junk
            time.sleep(0.01)

    with mjpeg_server(images) as port:
        started = time.monotonic()
        with pytest.raises(SourceError, match=str(port)):
            read(HttpSource(f"http://127.0.0.1:{port}/video", timeout=(2, 1)), 1)
        assert time.monotonic() - started < 20


@pytest.mark.thorough
def test_frames_continue_after_the_server_has_returned() -> None:
    port = free_port()
    notes: list[str] = []
    with Newest(HttpSource(f"http://127.0.0.1:{port}/video"), note=notes.append) as frames:
        while not notes:
            assert frames.take(0.05) is None
        for _ in range(2):
            with mjpeg_server(endless, port):
                started = time.monotonic()
                assert frames.take(8) is not None
                assert time.monotonic() - started < 20
            wait_for_outage(frames)
        assert frames.counts.reconnects == 1
    assert ["trying again" in note for note in notes] == [True, False, True, False, True]
