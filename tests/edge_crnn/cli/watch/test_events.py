from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from edge_crnn.cli.main import main
from tests.edge_crnn.cli.watch.conftest import Recording
from tests.edge_crnn.watch.sinks.mosquitto import Mosquitto
from tests.edge_crnn.watch.sources.videos import free_port

pytestmark = pytest.mark.thorough

EXAMPLE = Path(__file__).parents[4] / "examples" / "watch.toml"
RATE = ("--rate", "4")
"""A half of the frames, which is quicker."""


def test_a_vehicle_is_reported_once_everywhere(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run the example of a configuration, in a folder of its own."""
    pytest.importorskip("uvicorn", reason="Uvicorn comes with edge-crnn[watch]")
    monkeypatch.setenv("CAMERA", str(recording.path))
    file = shutil.copy(EXAMPLE, tmp_path)
    assert main(["watch", "--config", str(file), *RATE, "--format", "jsonl", "--port", "0"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["kind"] for event in printed if event["kind"] != "update"] == ["new", "end"]
    assert {event["text"] for event in printed} == {recording.text}
    assert {event["camera"] for event in printed} == {"gate"}
    assert len({event["identity"] for event in printed}) == 1
    stored = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event["kind"] for event in stored] == [event["kind"] for event in printed]
    assert len(list((tmp_path / "snapshots").rglob("*.jpg"))) == 1


def test_hashes_leave_no_plate_anywhere(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["watch", str(recording.path), *RATE, "--lines", str(tmp_path / "events.jsonl")]
    assert main([*words, "--hash-key", str(tmp_path / "key")]) == 0
    stored = (tmp_path / "events.jsonl").read_text("utf-8")
    assert stored
    assert recording.text not in stored + capsys.readouterr().out


class Receiver(ThreadingHTTPServer):
    """A real server for the webhook, which looks at the page when the first event comes."""

    def __init__(self, page: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page
        self.events: list[dict[str, Any]] = []
        self.shown: dict[str, Any] = {}
        self.health: dict[str, Any] = {}

    def take(self, event: dict[str, Any]) -> None:
        if not self.events:
            late = time.monotonic() + 10
            while not self.shown.get("events") and time.monotonic() < late:  # the page gets it a moment later
                self.shown = self._get("api/events")
            self.health = self._get("api/health")
        self.events.append(event)

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.page + path, timeout=10) as answer:
            return json.loads(answer.read())


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver(f"http://127.0.0.1:{free_port()}/")
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_brokers_a_webhook_and_the_page_get_the_events(
    recording: Recording, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn", reason="Uvicorn comes with edge-crnn[watch]")
    with Mosquitto(tmp_path) as broker:
        from tests.edge_crnn.watch.sinks.listener import Listener

        listener = Listener(broker.port)
        url = f"mqtt://127.0.0.1:{broker.port}"
        port = receiver.page.rstrip("/").rpartition(":")[2]
        hook = f"http://127.0.0.1:{receiver.server_port}/plates"
        words = ["watch", str(recording.path), *RATE, "--camera", "gate", "--mqtt", url, "--frigate", url]
        assert main([*words, "--webhook", hook, "--page", "--port", port]) == 0
        count = len(capsys.readouterr().out.splitlines())
        assert set(listener.texts("edge-crnn/gate/events")) == {recording.text}
        assert len(listener.wait_for("edge-crnn/gate/events", count)) == count
        frigate = [json.loads(message) for message in listener.wait_for("frigate/events", count)]
        assert [message["after"]["recognized_license_plate"] for message in frigate] == [recording.text] * count
        listener.close()
    assert [event["kind"] for event in receiver.events if event["kind"] != "update"] == ["new", "end"]
    assert len(receiver.events) == count
    assert [event["text"] for event in receiver.shown["events"]] == [recording.text]
    assert receiver.health["problem"] is None
    assert receiver.health["frames"] > 0
