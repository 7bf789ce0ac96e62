from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np
import pytest

from edge_crnn.errors import InputError
from edge_crnn.watch.sinks.form import as_json
from edge_crnn.watch.sinks.hashed import Hashed
from edge_crnn.watch.sinks.webhook import Webhook, parse_url
from tests.edge_crnn.watch.sinks.events import an_event, numbered
from tests.edge_crnn.watch.sinks.waiting import until

_FAST = (0.01, 0.05)


class _Server(ThreadingHTTPServer):
    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.statuses: list[int] = []
        """The answers to the next requests; afterwards 204."""
        self.may_answer = threading.Event()
        self.may_answer.set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/plates?site=1"

    def stop(self) -> None:
        self.may_answer.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        status = server.statuses.pop(0) if server.statuses else 204
        server.requests.append((self.path, dict(self.headers), json.loads(body)))
        server.may_answer.wait(10)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "file:///etc/passwd")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.stop()


def _keys(server: _Server) -> list[str]:
    return [headers["Idempotency-Key"] for _, headers, _ in server.requests]


def test_an_event_is_posted_with_its_crop(server: _Server) -> None:
    event = an_event()
    sink = Webhook(server.url, token="hunter2")
    sink.put(event)
    sink.close()
    ((path, headers, content),) = server.requests
    assert path == "/plates?site=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer hunter2"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(content.pop("image")), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == event.crop.shape
    assert content == as_json(event)


def test_a_hashed_event_has_no_image(server: _Server) -> None:
    sink = Hashed(Webhook(server.url), b"k" * 32)
    sink.put(an_event())
    sink.close()
    ((_, _, content),) = server.requests
    assert content["image"] is None
    assert "6897" not in json.dumps(content, ensure_ascii=False)


def test_every_event_has_its_own_key(server: _Server) -> None:
    sink = Webhook(server.url)
    for kind in ("new", "update", "update", "end"):
        sink.put(an_event(kind))
    sink.put(numbered(2)[1])
    sink.close()
    first, second = an_event().identity, numbered(2)[1].identity
    assert _keys(server) == [
        f"{first}-new-1",
        f"{first}-update-2",
        f"{first}-update-3",
        f"{first}-end-4",
        f"{second}-new-1",
    ]


@pytest.mark.parametrize("status", [301, 307, 401, 404, 429, 500, 503])
def test_what_may_change_is_tried_again_with_the_same_key(server: _Server, status: int) -> None:
    said: list[str] = []
    server.statuses = [status, status]
    sink = Webhook(server.url, pauses=_FAST, say=said.append)
    for event in numbered(2):
        sink.put(event)
    until(lambda: sink.queue.delivered == 2)
    sink.close()
    first, second = (f"{event.identity}-new-1" for event in numbered(2))
    assert _keys(server) == [first, first, first, second]
    assert len([line for line in said if f"answered {status}" in line]) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_event_is_given_up_and_the_next_one_is_posted(server: _Server, status: int) -> None:
    said: list[str] = []
    server.statuses = [status]
    sink = Webhook(server.url, say=said.append)
    for event in numbered(2):
        sink.put(event)
    sink.close()
    assert [content["text"] for _, _, content in server.requests] == ["0", "1"]
    assert sink.queue.refused == 1
    assert str(status) in said[0]


def test_a_server_that_is_away_gets_everything_in_order() -> None:
    away = _Server()
    port = away.server_address[1]
    away.stop()
    said: list[str] = []
    sink = Webhook(away.url, pauses=_FAST, say=said.append)
    for event in numbered(5):
        sink.put(event)
    until(lambda: sink.queue.trouble is not None)
    back = _Server(port)
    until(lambda: sink.queue.delivered == 5)
    sink.close()
    back.stop()
    assert [content["text"] for _, _, content in back.requests] == list("01234")
    assert len([line for line in said if "no answer" in line]) == 1


def test_a_server_that_does_not_answer_is_not_waited_for_longer_than_allowed(server: _Server) -> None:
    server.may_answer.clear()
    sink = Webhook(server.url, timeout_s=0.1, pauses=_FAST, say=lambda _: None)
    sink.put(an_event())
    until(lambda: sink.queue.trouble is not None and "timed out" in sink.queue.trouble)
    server.may_answer.set()
    until(lambda: sink.queue.delivered == 1)
    sink.close()
    assert len(set(_keys(server))) == 1


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "ftp://host/x", "http://", "http:///x", "http://h:x", "http://h/a b"]
)
def test_only_http_is_accepted(url: str) -> None:
    with pytest.raises(InputError, match="http"):
        parse_url(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="use a token") as raised:
        parse_url("https://gate:hunter2@host/")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "é"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="token"):
        Webhook("http://host/", token=token)
