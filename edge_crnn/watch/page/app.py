"""The routes of the page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ...errors import EdgeCrnnError, OutputError
from ..regions import as_json, parse
from ..sinks.form import dumps
from . import health, words
from .guard import Guard
from .settings import Settings
from .state import State
from .streams import BOUNDARY, Places, Stream, current_health, happenings, live_parts

_LANGUAGE_COOKIE = "edge-crnn-language"
_MOST_ROWS = 100
_LONGEST_SEARCH = 40


def build(state: State, settings: Settings, token: str | None, is_over: Callable[[], bool]) -> Starlette:
    """Return the ASGI application.

    Args:
        state: what the page shows.
        settings: limits, and the address that it is served at.
        token: what a request must show; None: nothing.
        is_over: returns whether the server stops, so that streams end.
    """
    routes = Routes(state, settings, is_over)
    return Starlette(
        routes=[
            Route("/", routes.page),
            Route("/live.mjpeg", routes.live, methods=["GET"]),
            Route("/api/stream", routes.stream, methods=["GET"]),
            Route("/api/events", routes.events),
            Route("/api/health", routes.health),
            Route("/api/regions", routes.regions, methods=["GET"]),
            Route("/api/regions", routes.save_regions, methods=["PUT"]),
            Route("/crops/{identity}", routes.crop),
            Route("/static/{name}", routes.static),
            Route("/healthz", routes.healthz),
            Route("/metrics", routes.metrics),
        ],
        middleware=[Middleware(Guard, settings=settings, token=token)],
        exception_handlers={HTTPException: _refused, ClientDisconnect: _gone},
    )


class Routes:
    """Answers requests from a state. No part of a request becomes the name of a file."""

    def __init__(self, state: State, settings: Settings, is_over: Callable[[], bool]) -> None:
        self._state = state
        self._settings = settings
        self._is_over = is_over
        self._board = health.BoardWatch()
        self._viewers = Places(settings.viewers)
        self._streams = Places(settings.streams)

    async def page(self, request: Request) -> Response:
        """Answer with the page in the language that was chosen, or else that the browser prefers."""
        chosen = request.query_params.get("lang")
        language = chosen or request.cookies.get(_LANGUAGE_COOKIE)
        if language not in words.LANGUAGES:
            language = words.preferred(request.headers.get("accept-language", ""))
        other = next(name for name in words.LANGUAGES if name != language)
        values = {
            "language": language,
            "otherLanguage": other,
            "otherLanguageLink": "/?" + urlencode({"lang": other}),
            "camera": self._state.camera,
            "editable": "yes" if self._state.save_regions else "no",
        }
        content = words.page(language, values)
        response = Response(content, media_type="text/html", headers={"Vary": "Accept-Language, Cookie"})
        response.headers["Content-Language"] = language
        if chosen == language:
            response.set_cookie(_LANGUAGE_COOKIE, language, max_age=365 * 24 * 3600, samesite="strict")
        return response

    async def static(self, request: Request) -> Response:
        """Answer with a file of the page, from memory."""
        file = words.static_files().get(request.path_params["name"])
        if file is None or file.media_type.startswith("text/html"):
            raise HTTPException(404, "There is no such file.")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    async def live(self, _request: Request) -> Stream:
        """Answer with live images."""
        parts = live_parts(self._state, self._settings.live_width, self._settings.live_rate, self._is_over)
        media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return Stream(parts, media_type, self._viewers)

    async def stream(self, _request: Request) -> Stream:
        """Answer with what happens, as server-sent events."""
        parts = happenings(self._state, self._board, time.monotonic, self._is_over)
        return Stream(parts, "text/event-stream", self._streams)

    async def events(self, request: Request) -> Response:
        """Answer with the newest passages; `search`: part of a plate."""
        search = request.query_params.get("search", "")
        if len(search) > _LONGEST_SEARCH:
            raise HTTPException(400, f"The search is longer than {_LONGEST_SEARCH} characters.")
        entries, total = self._state.events(search, _MOST_ROWS)
        return _json({"events": [entry.as_json() for entry in entries], "total": total})

    async def health(self, _request: Request) -> Response:
        """Answer with the health for the page."""
        return _json(await run_in_threadpool(current_health, self._state, self._board, time.monotonic))

    async def healthz(self, request: Request) -> Response:
        """Answer 200, or 503 with the reason, which only those who show the token see."""
        problem = (await run_in_threadpool(health.checked, self._state.health)).problem
        if problem is None:
            return PlainTextResponse("ok\n")
        reason = problem if request.state.is_known else "not healthy"
        return PlainTextResponse(reason.encode("utf-8", "replace") + b"\n", 503)

    async def metrics(self, _request: Request) -> Response:
        """Answer with the health in Prometheus' text format."""
        numbers, board = await run_in_threadpool(lambda: (health.checked(self._state.health), self._board()))
        content = health.as_metrics(numbers, board, self._state.counts(), self._state.camera)
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def crop(self, request: Request) -> Response:
        """Answer with the crop of a passage, by its identity."""
        crop = self._state.crop(request.path_params["identity"])
        if crop is None:
            raise HTTPException(404, "There is no such crop.")
        return Response(crop, media_type="image/jpeg")

    async def regions(self, _request: Request) -> Response:
        """Answer with the regions."""
        return _json(as_json(await run_in_threadpool(self._state.regions)))

    async def save_regions(self, request: Request) -> Response:
        """Save the regions."""
        save = self._state.save_regions
        if save is None:
            raise HTTPException(405, "The regions cannot be edited here.", {"Allow": "GET, HEAD"})
        body = await self._body(request)
        try:
            await run_in_threadpool(save, parse(body, "the page"))
        except OutputError as error:
            raise HTTPException(503, str(error)) from error
        except EdgeCrnnError as error:
            raise HTTPException(422, str(error)) from error
        return await self.regions(request)

    async def _body(self, request: Request) -> bytes:
        """Return the body of a request that is neither too large nor too slow."""
        too_large = HTTPException(413, f"The body is larger than {self._settings.body_bytes:,} bytes.")
        parts = bytearray()

        async def read() -> None:
            async for part in request.stream():
                parts.extend(part)
                if len(parts) > self._settings.body_bytes:
                    raise too_large

        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 15 or int(declared) > self._settings.body_bytes):
            raise too_large
        try:
            await asyncio.wait_for(read(), self._settings.request_s)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise HTTPException(408, "The body did not come in time.", {"Connection": "close"}) from error
        return bytes(parts)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code, error.headers)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dumps(content), status, headers, "application/json")
