from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from edge_crnn.errors import InputError, OutputError
from edge_crnn.watch.finding.region import Region
from edge_crnn.watch.page import words
from edge_crnn.watch.page.app import build
from edge_crnn.watch.page.guard import HEADERS
from edge_crnn.watch.page.health import Health
from edge_crnn.watch.page.settings import Settings
from edge_crnn.watch.page.state import State
from edge_crnn.watch.regions import as_json
from tests.edge_crnn.watch.page.examples import LOCAL, SQUARE, TOKEN, Loop, an_event

ORIGIN = {"Origin": LOCAL}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROUTES = ("/", "/api/events", "/api/health", "/api/regions", "/healthz", "/metrics", "/static/page.js", "/nothing")


@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_has_the_protective_headers(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == (404 if path == "/nothing" else 200)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["Cache-Control"] == ("no-cache" if path.startswith("/static/") else "no-store")


def test_the_policy_allows_no_inline_code_and_no_other_host() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"unsafe|https?:|data:|\*", policy)


def test_the_page_has_no_inline_script_or_style() -> None:
    page = words.page(
        "en", {"language": "en", "otherLanguage": "ko", "otherLanguageLink": "/", "camera": "x", "editable": "no"}
    )
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", page)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("ko-KR,ko;q=0.9,en;q=0.5", "ko"), ("en, ko;q=0.9", "en"), ("fr", "en"), ("ko;q=0", "en"), ("", "en")],
)
def test_the_browser_s_language_decides(client: TestClient, accept: str, expected: str) -> None:
    answer = client.get("/", headers={"Accept-Language": accept})
    assert f'<html lang="{expected}"' in answer.text
    assert answer.headers["Content-Language"] == expected


def test_a_chosen_language_is_kept(client: TestClient) -> None:
    assert "차량" in client.get("/?lang=ko").text
    assert '<html lang="ko"' in client.get("/", headers={"Accept-Language": "en"}).text


def test_the_name_of_the_camera_is_escaped(state: State) -> None:
    state.camera = "<script>alert(1)</script>"
    page = TestClient(build(state, Settings(), None, lambda: False), base_url=LOCAL).get("/").text
    assert "<script>alert" not in page


@pytest.mark.parametrize("path", ["/", "/api/events", "/api/health", "/healthz", "/metrics"])
def test_half_characters_are_no_error_of_the_server(path: str) -> None:
    state = State("Gate \udcff", health=lambda: Health(problem="\udc80"))
    state.put(an_event(region="\udc80"))
    client = TestClient(build(state, Settings(), None, lambda: False), base_url=LOCAL)
    assert client.get(path).status_code in (200, 503)


def test_events_come_newest_first_and_can_be_searched(client: TestClient, state: State) -> None:
    state.put(an_event(1))
    state.put(an_event(2, text="123 가 4568"))
    answer = client.get("/api/events").json()
    assert [event["text"] for event in answer["events"]] == ["123 가 4568", "서울 18 나 6897"]
    assert answer["total"] == 2
    found = client.get("/api/events", params={"search": "18나"}).json()
    assert [event["text"] for event in found["events"]] == ["서울 18 나 6897"]
    assert client.get("/api/events", params={"search": "9" * 41}).status_code == 400


def test_a_crop_is_found_by_the_identity_of_its_event(client: TestClient, state: State) -> None:
    state.put(an_event(1))
    answer = client.get(f"/crops/{an_event(1).identity}")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer.headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(
    "path",
    [
        "/crops/unknown",
        "/crops/..%2f..%2fetc%2fpasswd",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/index.html",
        "/static/",
    ],
)
def test_no_path_reaches_a_file(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_static_files_are_not_sent_twice(client: TestClient) -> None:
    tag = client.get("/static/style.css").headers["ETag"]
    answer = client.get("/static/style.css", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_healthz_gives_the_reason(client: TestClient, loop: Loop) -> None:
    assert client.get("/healthz").status_code == 200
    loop.health = Health(problem="the camera does not answer")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (503, "the camera does not answer\n")


def test_health_that_cannot_be_read_is_a_problem() -> None:
    def broken() -> Health:
        raise RuntimeError("stopped")

    client = TestClient(build(State("Gate", health=broken), Settings(), None, lambda: False), base_url=LOCAL)
    assert (client.get("/healthz").status_code, client.get("/metrics").status_code) == (503, 200)
    assert "stopped" in client.get("/api/health").json()["problem"]


def test_metrics_follow_the_text_format(client: TestClient, state: State, loop: Loop) -> None:
    state.camera = 'a "b"\\\n'
    state.put(an_event())
    loop.health = Health(frames=12, frames_per_second=float("nan"), trouble={"mqtt": 2})
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    sample = re.compile(r'edge_crnn_watch_[a-z_]+\{camera="a \\"b\\"\\\\\\n"(,[a-z]+="[a-z]+")?\} [0-9.e+-]+')
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert all(map(sample.fullmatch, lines))
    assert next(line for line in lines if 'kind="new"' in line).endswith(" 1")
    assert not [line for line in lines if "per_second" in line]


def test_regions_are_saved(client: TestClient, loop: Loop) -> None:
    regions = [{"name": "출구", "points": [list(point) for point in SQUARE]}]
    answer = client.put("/api/regions", json={"regions": regions}, headers=ORIGIN)
    assert answer.status_code == 200
    assert loop.regions == (Region("출구", SQUARE),)
    assert client.get("/api/regions").json() == answer.json() == json.loads(json.dumps(as_json(loop.regions)))


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("region gate: too many"), 422), (OutputError(28, "watch.json: no space is left"), 503)],
)
def test_regions_that_cannot_be_saved_say_why(client: TestClient, loop: Loop, error: Exception, status: int) -> None:
    loop.error = error
    answer = client.put("/api/regions", json={"regions": []}, headers=ORIGIN)
    assert (answer.status_code, answer.json()["error"]) == (status, str(error))


def test_regions_cannot_be_edited_without_a_place_to_save_them() -> None:
    client = TestClient(build(State("Gate"), Settings(), None, lambda: False), base_url=LOCAL)
    assert client.put("/api/regions", json={"regions": []}, headers=ORIGIN).status_code == 405
    assert 'data-editable="no"' in client.get("/").text


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8080.evil.example",
        "file://127.0.0.1:8080",
    ],
)
def test_a_change_must_come_from_the_page_itself(client: TestClient, loop: Loop, origin: str | None) -> None:
    before = loop.regions
    headers = {} if origin is None else {"Origin": origin}
    assert client.put("/api/regions", json={"regions": []}, headers=headers).status_code == 403
    assert loop.regions == before


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PATCH", "BREW"])
def test_other_methods_change_nothing(client: TestClient, loop: Loop, method: str) -> None:
    before = loop.regions
    assert client.request(method, "/api/regions", headers=ORIGIN).status_code == (200 if method == "GET" else 405)
    assert loop.regions == before


def test_a_large_body_is_refused_declared_or_not(client: TestClient) -> None:
    large = json.dumps({"regions": [], "more": "x" * 70_000}).encode()
    assert client.put("/api/regions", content=large, headers=ORIGIN).status_code == 413
    parts = (large[start : start + 1000] for start in range(0, len(large), 1000))
    assert client.put("/api/regions", content=parts, headers=ORIGIN).status_code == 413


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_website_may_only_link_to_the_page(client: TestClient, site: str) -> None:
    assert client.get("/live.mjpeg", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert client.get("/", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::1", "192.168.0.9"]
)
def test_on_loopback_only_local_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/events", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"])
def test_local_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/events", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/events", "/api/regions", "/api/stream", "/live.mjpeg", "/metrics", "/crops/x", "/x"]
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": "edge-crnn-8080=é"}]
)
def test_without_the_token_nothing_is_shown(
    guarded: Callable[[], TestClient], path: str, headers: dict[str, str]
) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = guarded().get(path, headers=encoded)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_the_token_opens_the_page_as_a_header(guarded: Callable[[], TestClient]) -> None:
    assert guarded().get("/api/events", headers=BEARER).status_code == 200
    assert guarded().put("/api/regions", json={"regions": []}, headers=BEARER).status_code == 200


def test_the_token_in_the_address_becomes_a_cookie(guarded: Callable[[], TestClient]) -> None:
    client = guarded()
    assert client.get("/", params={"token": "wrong"}).status_code == 401
    answer = client.get("/", params={"token": TOKEN})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert client.get("/api/events").status_code == 200
    assert client.put("/api/regions", json={"regions": []}).status_code == 403  # a cookie needs the origin, too
    origin = {"Origin": "http://board.local:8080"}
    assert client.put("/api/regions", json={"regions": []}, headers=origin).status_code == 200


def test_a_person_without_the_token_is_asked_for_it(guarded: Callable[[], TestClient]) -> None:
    client = guarded()
    answer = client.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, 'name="token"' in answer.text) == (401, True)
    assert client.get("/static/style.css").status_code == 200


def test_healthz_without_the_token_gives_no_reason(guarded: Callable[[], TestClient], loop: Loop) -> None:
    loop.health = Health(problem="rtsp://camera.local does not answer")
    assert "camera.local" not in guarded().get("/healthz").text
    assert "camera.local" in guarded().get("/healthz", headers=BEARER).text
