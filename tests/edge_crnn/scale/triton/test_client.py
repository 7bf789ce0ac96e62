"""The client with a fake server: real HTTP and the backend's own code."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.errors import BackendError, ImageError, InputError, InputTypeError
from edge_crnn.reader import Reader, open_reader
from edge_crnn.scale.triton import client as clients
from edge_crnn.scale.triton.client import Client
from tests.edge_crnn.scale.triton.fake_server import FakeServer


@pytest.fixture(scope="module")
def reader(tiny_artifacts: Callable[..., Path]) -> Iterator[Reader]:
    with open_reader(tiny_artifacts(), workers=1) as opened:
        yield opened


@pytest.fixture
def server(reader: Reader) -> Iterator[FakeServer]:
    with FakeServer(reader) as running:
        yield running


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def client(server: FakeServer, said: list[str]) -> Iterator[Client]:
    with Client(server.url, timeout=10, say=said.append) as opened:
        yield opened


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def test_images_of_every_kind_read_as_they_do_here(
    client: Client, reader: Reader, tiny_pictures: list[np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "plate.png"
    path.write_bytes(png(tiny_pictures[0]))
    grey = tiny_pictures[1]
    colour = cv2.cvtColor(tiny_pictures[2], cv2.COLOR_GRAY2BGR)
    larger = cv2.resize(tiny_pictures[3], (64, 32))
    images = [path, png(grey), grey, colour, larger, grey[..., None], colour.astype(np.uint16) * 257, str(path)]
    assert client.read_batch(images) == reader.read_batch(images)
    assert client.read(path) == reader.read(path)


def test_requests_are_full_and_connections_are_kept(
    client: Client, server: FakeServer, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    files = [png(image) for image in tiny_pictures] * 10
    assert [reading.label for reading in client.read_batch(files)] == tiny_labels * 10
    assert [head["inputs"][0]["shape"] for _, head in server.requests] == [[16, 1]] * 5
    assert len(server.connections) <= clients.CONNECTIONS + 1


def test_a_request_has_at_most_the_images_that_the_model_takes(reader: Reader, tiny_pictures: list[np.ndarray]) -> None:
    with FakeServer(reader, most=3) as server, Client(server.url) as client:
        assert len(client.read_batch([png(image) for image in tiny_pictures])) == 8
        assert sorted(head["inputs"][0]["shape"][0] for _, head in server.requests) == [2, 3, 3]


def test_an_image_that_cannot_be_read_fails_alone(
    client: Client, reader: Reader, tiny_pictures: list[np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "garbage.png").write_bytes(b"garbage")
    images = [tiny_pictures[0], tmp_path / "garbage.png", b"rubbish", tmp_path / "missing.png", tiny_pictures[1]]
    there, here = list(client.read_each(images)), list(reader.read_each(images))
    assert [str(result) for result in there] == [str(result) for result in here]
    assert [isinstance(result, ImageError) for result in there] == [False, True, True, True, False]
    with pytest.raises(ImageError, match=r"garbage\.png"):
        client.read_batch(images)


def test_no_image_needs_no_request(client: Client, server: FakeServer) -> None:
    assert client.read_batch([]) == []
    assert server.requests == []


def test_a_single_image_is_not_several(client: Client) -> None:
    with pytest.raises(InputTypeError, match="single path"):
        client.read_batch("plate.png")


def test_a_wrong_model_is_named_with_those_that_exist(server: FakeServer) -> None:
    with Client(server.url, "gates") as client, pytest.raises(BackendError, match="no model 'gates', found plates"):
        client.read_batch([b"image"])


def test_a_network_alone_is_no_reader(server: FakeServer) -> None:
    with Client(server.url, "plates_network") as client, pytest.raises(BackendError, match="without _network"):
        client.read_batch([b"image"])


def test_facts(client: Client) -> None:
    assert client.facts() == {"sha256": "12ab", "edge_crnn": "0.5.0"}


@pytest.mark.parametrize("url", ["", "server:8000", "ftp://server", "http://", "http://server:port", "http://[::1"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="expected the URL of a server"):
        Client(url)


@pytest.mark.parametrize("model", ["", "a/b", "a?b", "../x", "a b"])
def test_other_names_are_refused(model: str) -> None:
    with pytest.raises(InputError, match="expected a name"):
        Client("http://server", model)


def test_no_server_at_all_is_an_error_after_the_time_out(said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    message = r"no answer for 0\.3 s .*start the server"
    with (
        Client(f"http://127.0.0.1:{port}", timeout=0.3, say=said.append) as client,
        pytest.raises(BackendError, match=message),
    ):
        client.read_batch([b"image"])
    (line,) = said
    assert "is away" in line


def test_a_server_that_never_answers_is_an_error_after_the_time_out(said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with Client(url, timeout=0.3, say=said.append) as client, pytest.raises(BackendError, match="no answer"):
            client.read_batch([b"image"])
        assert time.monotonic() - started < 3


def test_a_client_that_is_closed_does_not_wait(said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=60, say=said.append)
        threading.Timer(0.2, client.close).start()
        started = time.monotonic()
        with pytest.raises(BackendError, match="closed"):
            client.read_batch([b"image"])
        assert time.monotonic() - started < 5


def test_a_server_that_goes_away_is_waited_for(
    reader: Reader, tiny_pictures: list[np.ndarray], tiny_labels: list[str], said: list[str]
) -> None:
    files = [png(image) for image in tiny_pictures]
    servers = [FakeServer(reader)]
    with Client(servers[0].url, timeout=30, say=said.append) as client:
        assert [reading.label for reading in client.read_batch(files)] == tiny_labels
        servers[0].close()
        threading.Timer(0.5, lambda: servers.append(FakeServer(reader, servers[0].port))).start()
        assert [reading.label for reading in client.read_batch(files * 12)] == tiny_labels * 12
    servers[1].close()
    assert [line.partition(" ")[2].split(" (")[0] for line in said] == ["is away", "is back"]


def test_a_connection_that_the_server_closed_is_replaced_without_a_word(
    reader: Reader, tiny_pictures: list[np.ndarray], said: list[str]
) -> None:
    with FakeServer(reader) as server, Client(server.url, say=said.append) as client:
        client.read_batch(tiny_pictures)
        idle = client._idle.get()
        assert idle.sock is not None
        idle.sock.shutdown(socket.SHUT_RDWR)
        client._idle.put(idle)
        assert len(client.read_batch(tiny_pictures)) == len(tiny_pictures)
    assert said == []


@pytest.mark.parametrize("status", [400, 500])
def test_a_refusal_is_an_error_at_once(client: Client, server: FakeServer, status: int) -> None:
    server.change = lambda answer: (status, {}, json.dumps({"error": "too many images"}).encode())
    with pytest.raises(BackendError, match="too many images; see the server's log"):
        client.read_batch([b"image"])


def test_a_model_that_is_being_loaded_is_waited_for(
    client: Client, server: FakeServer, tiny_pictures: list[np.ndarray], said: list[str]
) -> None:
    messages = iter([b'{"error": "Request for unknown model: \'plates\' has no available versions"}'])
    server.change = lambda answer: (400, {}, message) if (message := next(messages, b"")) else answer
    assert len(client.read_batch(tiny_pictures)) == len(tiny_pictures)
    assert len(said) == 2


def test_an_answer_that_is_cut_short_is_an_error(client: Client, server: FakeServer) -> None:
    server.change = lambda answer: (200, answer[1], answer[2][:-1])
    with pytest.raises(BackendError, match="cannot be understood"):
        client.read_batch([b"image"])


def test_a_web_server_of_another_kind_is_an_error(client: Client, server: FakeServer) -> None:
    server.describe = lambda path: (200, {}, b"<html>")  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="no Triton server"):
        client.facts()
