from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from edge_crnn.watch.page.app import build
from edge_crnn.watch.page.settings import Settings
from edge_crnn.watch.page.state import State
from tests.edge_crnn.watch.page.examples import LOCAL, Loop, an_event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(("name", "points", "x")), inner, max_size=3)
    ),
    max_leaves=20,
)
NAMES = st.sampled_from(
    [
        "accept",
        "accept-language",
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "if-none-match",
        "origin",
        "range",
    ]
)
PATHS = st.sampled_from(
    ["/", "/api/events", "/api/regions", "/api/health", "/healthz", "/metrics", "/crops/x", "/static/page.js"]
)


@cache
def client() -> TestClient:
    loop = Loop()
    state = State("Gate", health=lambda: loop.health, regions=lambda: loop.regions, save_regions=loop.save)
    state.put(an_event())
    # A server's error is raised here, which fails the test with its cause.
    return TestClient(build(state, Settings(), None, lambda: False), base_url=LOCAL)


@given(
    st.text(max_size=60),
    st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=3),
    st.sampled_from(["GET", "PUT", "POST"]),
)
def test_no_path_or_query_is_an_error_of_the_server(path: str, query: dict[str, str], method: str) -> None:
    address = "/" + quote(path, errors="replace") + "?" + urlencode(query, errors="replace")
    if address.split("?")[0] in ("/live.mjpeg", "/api/stream"):
        return
    assert client().request(method, address, headers={"Origin": LOCAL}).status_code < 500


@given(PATHS, st.lists(st.tuples(NAMES, st.binary(max_size=60)), max_size=4))
def test_no_header_is_an_error_of_the_server(path: str, headers: list[tuple[str, bytes]]) -> None:
    encoded: Any = [(name.encode(), value) for name, value in headers]
    assert client().get(path, headers=encoded).status_code < 500


@given(st.binary(max_size=200) | JSON | st.builds(lambda inner: {"regions": inner}, JSON | st.lists(JSON, max_size=3)))
def test_no_body_is_an_error_of_the_server(body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert client().put("/api/regions", content=content, headers={"Origin": LOCAL}).status_code in (200, 422)


@pytest.mark.parametrize(
    "body", [b"[" * 60_000, b'{"regions": [{"name": "\\ud800", "points": []}]}', b"\xff\xfe", b"1" * 5000]
)
def test_a_hostile_body_is_refused(body: bytes) -> None:
    assert client().put("/api/regions", content=body, headers={"Origin": LOCAL}).status_code == 422
