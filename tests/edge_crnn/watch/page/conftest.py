"""A page with events and a frame, without a camera."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the page needs the extra watch")
pytest.importorskip("uvicorn", reason="the page needs the extra watch")
pytest.importorskip("httpx", reason="Starlette's test client needs httpx")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer releases ask for httpx2 instead of httpx
    from starlette.testclient import TestClient

from edge_crnn.watch.page.app import build
from edge_crnn.watch.page.settings import Settings
from edge_crnn.watch.page.state import State
from tests.edge_crnn.watch.page.examples import LOCAL, TOKEN, Loop, a_frame, a_sighting


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def state(loop: Loop) -> State:
    return State("Gate", health=lambda: loop.health, regions=lambda: loop.regions, save_regions=loop.save)


@pytest.fixture
def client(state: State) -> TestClient:
    """Return a client of a page on loopback, without a token."""
    return TestClient(build(state, Settings(), None, lambda: False), base_url=LOCAL)


@pytest.fixture
def guarded(state: State) -> Callable[[], TestClient]:
    """Return a maker of clients, each with its own cookies, of a page on the network."""
    settings = Settings(host="0.0.0.0", token_file=Path("unused"))
    app = build(state, settings, TOKEN, lambda: False)
    return lambda: TestClient(app, base_url="http://board.local:8080")


@pytest.fixture
def feeding(state: State) -> Iterator[None]:
    """Show a frame with a reading every 50 milliseconds."""
    over = threading.Event()

    def feed() -> None:
        number = 0
        while not over.wait(0.05):
            frame = a_frame(number, 360, 640)
            state.show(frame, [a_sighting(frame)])
            number += 1

    thread = threading.Thread(target=feed)
    thread.start()
    yield
    over.set()
    thread.join()
