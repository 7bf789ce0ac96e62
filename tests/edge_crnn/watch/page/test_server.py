"""The real server on a real port."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from edge_crnn.errors import OutputError
from edge_crnn.watch.page.server import Page, serve
from edge_crnn.watch.page.settings import Settings
from edge_crnn.watch.page.state import State
from tests.edge_crnn.watch.page.examples import a_frame, a_sighting, an_event

SETTINGS = Settings(port=0, viewers=2, streams=1, live_rate=50.0, live_width=64, request_s=0.5)


@pytest.fixture
def page(state: State) -> Iterator[Page]:
    with serve(state, SETTINGS) as page:
        yield page


def connection(page: Page) -> http.client.HTTPConnection:
    address = urlsplit(page.address)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)


def get(page: Page, path: str) -> http.client.HTTPResponse:
    """Return an answer that is not read yet; its connection closes with it."""
    made = connection(page)
    made.request("GET", path, headers={"Connection": "close"})
    return made.getresponse()


def part(answer: http.client.HTTPResponse) -> bytes:
    """Return the next image of a live stream."""
    while not (line := answer.readline()).lower().startswith(b"content-length:"):
        assert line
    answer.readline()
    return answer.read(int(line.split(b":")[1]))


def happening(answer: http.client.HTTPResponse, kind: str) -> dict[str, object]:
    """Return the next server-sent event of a kind."""
    while answer.readline().strip() != f"event: {kind}".encode():
        pass
    content: dict[str, object] = json.loads(answer.readline().removeprefix(b"data: "))
    return content


def test_live_images_follow_the_frames(page: Page, state: State) -> None:
    import cv2

    with closing(get(page, "/live.mjpeg")) as answer:
        for number in range(3):
            state.show(a_frame(number))
            image = cv2.imdecode(np.frombuffer(part(answer), np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert image.shape == (36, 64, 3)


def test_more_viewers_than_places_are_turned_away_until_one_leaves(page: Page, state: State) -> None:
    state.show(a_frame())
    with closing(get(page, "/live.mjpeg")) as first, closing(get(page, "/live.mjpeg")) as second:
        part(first), part(second)
        with closing(get(page, "/live.mjpeg")) as third:
            assert (third.status, third.getheader("Retry-After")) == (503, "30")
    end = time.monotonic() + 5
    while True:
        with closing(get(page, "/live.mjpeg")) as answer:
            if answer.status == 200:
                break
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nothing_is_encoded_while_nobody_looks(page: Page, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_crnn.watch import jpeg

    def encoded(*_arguments: object) -> bytes:
        raise AssertionError("encoded")

    monkeypatch.setattr(jpeg, "encode", encoded)
    for number in range(20):
        state.show(a_frame(number))
        time.sleep(0.01)
    assert page.is_running


def test_the_stream_tells_of_events_readings_and_health(page: Page, state: State) -> None:
    with closing(get(page, "/api/stream")) as answer:
        assert answer.getheader("Content-Type") == "text/event-stream"
        assert happening(answer, "changed") == {"changes": 0}
        assert happening(answer, "health")["frames_per_second"] == 25.0
        state.put(an_event())
        assert happening(answer, "changed") == {"changes": 1}
        frame = a_frame()
        state.show(frame, [a_sighting(frame)])
        live = happening(answer, "live")
        assert live["sightings"] == [
            {"text": "서울 18 나 6897", "accepted": True, "points": [[0.4, 0.5], [0.6, 0.5], [0.6, 0.6], [0.4, 0.6]]}
        ]


def test_a_page_stops_while_somebody_looks(state: State) -> None:
    threads = threading.active_count()
    page = serve(state, SETTINGS)
    state.show(a_frame())
    with closing(get(page, "/live.mjpeg")) as answer, closing(get(page, "/api/stream")) as stream:
        part(answer), happening(stream, "live")
        began = time.monotonic()
        page.close()
        assert time.monotonic() - began < 20
    page.close()
    assert not page.is_running
    assert threading.active_count() <= threads + 3  # the idle workers that encoded end with the process
    with pytest.raises(ConnectionRefusedError):
        get(page, "/healthz")


def test_a_port_in_use_is_one_clear_error(page: Page, state: State) -> None:
    with pytest.raises(OutputError, match="choose another port"):
        serve(state, replace(SETTINGS, port=urlsplit(page.address).port or 0))


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"", b"G"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", b"G"),
        (b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nG\r\n"),
    ],
    ids=["first request", "second request", "body", "chunks"],
)
def test_a_client_that_sends_too_slowly_is_cut_off(page: Page, begin: bytes, more: bytes) -> None:
    with closing(connection(page)) as made:
        made.connect()
        made.sock.sendall(begin)
        end = time.monotonic() + 5
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012 - it takes several bytes
            while time.monotonic() < end:
                made.sock.send(more)
                time.sleep(0.05)


@pytest.mark.thorough
@pytest.mark.parametrize("path", ["/live.mjpeg", "/api/stream"])
def test_a_client_that_takes_nothing_is_cut_off(state: State, path: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    with serve(state, replace(SETTINGS, live_width=640, connections=2)) as page:
        address = urlsplit(page.address)
        with socket.socket() as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            made.connect((address.hostname, address.port))
            made.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            end = time.monotonic() + 10
            number = 0
            statuses = []
            while 200 not in statuses:
                assert time.monotonic() < end
                number += 1
                frame = replace(a_frame(number), pixels=noise)
                state.show(frame, [a_sighting(frame, f"{number:010}" * 100_000)])
                time.sleep(0.02)
                with closing(get(page, "/healthz")) as answer:
                    statuses.append(answer.status)
    assert 503 in statuses


def test_a_body_that_does_not_come_is_refused(page: Page) -> None:
    with closing(connection(page)) as made:
        made.putrequest("PUT", "/api/regions")
        made.putheader("Origin", page.address.rstrip("/"))
        made.putheader("Content-Length", "100")
        made.endheaders(b'{"regions"')
        with closing(made.getresponse()) as answer:
            assert answer.status == 408


def test_a_head_that_is_too_large_is_refused(page: Page) -> None:
    with closing(connection(page)) as made:
        made.connect()
        made.sock.sendall(b"GET / HTTP/1.1\r\nX-Large: " + b"x" * 30_000)
        assert made.sock.recv(100).startswith(b"HTTP/1.1 400")


def test_more_connections_than_allowed_are_turned_away(state: State) -> None:
    with serve(state, replace(SETTINGS, connections=3, request_s=5.0)) as page:
        address = urlsplit(page.address)
        idle = [socket.create_connection((address.hostname, address.port)) for _ in range(4)]  # type: ignore[arg-type]
        time.sleep(0.1)
        with closing(get(page, "/healthz")) as answer:
            assert answer.status == 503
        for made in idle:
            made.close()


def test_a_crowd_of_connections_leaves_the_process_room_for_files(state: State) -> None:
    with serve(state, replace(SETTINGS, connections=3, request_s=5.0)) as page:
        address = urlsplit(page.address)
        crowd = [socket.create_connection((address.hostname, address.port)) for _ in range(20)]  # type: ignore[arg-type]
        time.sleep(0.2)
        closed = 0
        for made in crowd:
            made.setblocking(False)
            with closing(made), contextlib.suppress(BlockingIOError):
                closed += made.recv(1) == b""
        assert closed == 14


def test_a_page_on_the_network_makes_its_token(state: State, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with serve(state, replace(SETTINGS, host="0.0.0.0", token_file=file)) as page:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with closing(connection(page)) as made:
            made.request("GET", "/api/events")
            assert made.getresponse().read() == b'{"error":"This page needs its token."}'
            made.request("GET", "/api/events", headers={"Authorization": f"Bearer {file.read_text().strip()}"})
            answer = made.getresponse()
            assert (answer.status, json.load(answer)) == (200, {"events": [], "total": 0})


@pytest.mark.thorough
def test_the_page_names_the_extra_that_it_lacks() -> None:
    script = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from edge_crnn.watch.page.server import serve\nfrom edge_crnn.watch.page.state import State\n"
        "try: serve(State('Gate'))\nexcept ImportError as error: print(error)"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "edge-crnn[watch]" in output


def test_many_threads_may_feed_the_page(page: Page, state: State) -> None:
    def feed(first: int) -> None:
        for number in range(first, first + 30):
            state.put(an_event(number))
            state.show(a_frame(number))

    threads = [threading.Thread(target=feed, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    with closing(get(page, "/api/events")) as answer:
        assert answer.status == 200
    for thread in threads:
        thread.join()
    assert state.changes == 90
