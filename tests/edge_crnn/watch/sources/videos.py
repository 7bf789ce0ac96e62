"""Small videos and servers for the tests of sources."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from edge_crnn.watch.frame import Pixels
from edge_crnn.watch.newest import Newest

av = pytest.importorskip("av", reason="PyAV is not installed")

STEP = 9
"""Difference of brightness between consecutive frames."""


def frame(number: int, width: int = 64, height: int = 48) -> Pixels:
    """Return a frame that shows its number by its brightness; its left half is dark."""
    pixels = np.full((height, width, 3), 20 + STEP * (number % 25), np.uint8)
    pixels[:, : width // 2] //= 2
    return pixels


def number_of(pixels: Pixels) -> int:
    """Return the number of a frame, modulo 25."""
    return round((float(pixels[:, -8:].mean()) - 20) / STEP)


def write_video(
    path: Path,
    count: int = 20,
    *,
    rate: int = 10,
    codec: str = "libx264",
    key_every: int = 5,
    size_of: Callable[[int], tuple[int, int]] = lambda number: (64, 48),
    options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size_of(0)
        stream.bit_rate = 4_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx264":
            stream.options = {"g": str(key_every), "keyint_min": str(key_every), "sc_threshold": "0", **(options or {})}
        for number in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(number, *size_of(0)), format="bgr24")))
        container.mux(stream.encode())
    return path


def jpeg(pixels: Pixels) -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", pixels)[1])


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def mjpeg_server(images: Callable[[], Iterator[bytes]], port: int = 0, password: str | None = None) -> Iterator[int]:
    """Serve images with HTTP as cameras do, and yield the port. The stream ends with the images."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if password is not None and "Authorization" not in self.headers:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for image in images():
                    if stopped.is_set():
                        return
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
                    self.wfile.write(head.encode() + image + b"\r\n")
            except OSError:
                pass

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def endless(rate: float = 25.0, width: int = 64, height: int = 48) -> Iterator[bytes]:
    """Yield images at a rate, without end."""
    images = [jpeg(frame(number, width, height)) for number in range(25)]
    number = 0
    while True:
        yield images[number % 25]
        number += 1
        time.sleep(1 / rate)


def wait_for_outage(frames: Newest) -> None:
    """Wait until a camera has failed, and take what is left of its frames."""
    until = time.monotonic() + 15
    while frames.counts.connected_since is not None or frames.take(0) is not None:
        assert time.monotonic() < until
        frames.take(0.05)
