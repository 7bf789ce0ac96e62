"""Answers without an end: the live image, and what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from ...errors import InputError
from ..sinks.form import dumps
from .health import BoardWatch, as_json, checked
from .state import State

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

BOUNDARY = "edge-crnn-frame"
_LOOK_EVERY_S = 0.2
_HEALTH_EVERY_S = 2.0
_RETRY_MS = 2000
"""After this time a browser connects again."""


class Places:
    """A number of places; whoever finds none is turned away."""

    def __init__(self, count: int) -> None:
        self.free = count

    def take(self) -> bool:
        """Take a place; False: none is free. Only the thread of the server uses it."""
        if self.free == 0:
            return False
        self.free -= 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self.free += 1


class Stream:
    """ASGI response that sends parts until they end, or the client leaves or is cut off."""

    def __init__(self, parts: AsyncIterator[bytes], media_type: str, places: Places) -> None:
        self._parts = parts
        self._media_type = media_type
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the parts; without a free place, answer 503."""
        if not self._places.take():
            full = JSONResponse({"error": "Too many viewers."}, 503, {"Retry-After": "30"})
            await full(scope, receive, send)
            return
        tasks = [asyncio.create_task(self._send(send)), asyncio.create_task(_left(receive))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._places.leave()
        for task in done:
            task.result()

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", self._media_type.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def live_parts(state: State, width: int, rate: float, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the newest frame as a part of multipart/x-mixed-replace, at most `rate` times per second."""
    before = None
    while not is_over():
        if state.live is not before:
            before = state.live
            try:
                encoded = await run_in_threadpool(state.live_jpeg, width)
            except InputError:
                encoded = None  # the next frame may be in order
            if encoded:
                before, data = encoded
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                yield head.encode() + data + b"\r\n"
        await asyncio.sleep(1 / rate)


async def happenings(
    state: State, board: BoardWatch, now: Callable[[], float], is_over: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield server-sent events: `health` every 2 seconds, `live` with the readings of a frame, and `changed`.

    Source of the format: HTML Living Standard, section "Server-sent events".

    Args:
        state: what is shown.
        board: asks the board for its health.
        now: returns the monotonic time in seconds.
        is_over: returns whether the server stops.
    """
    yield f"retry: {_RETRY_MS}\n\n".encode()
    changes, live, health_due = -1, "", now()
    while not is_over():
        if state.changes != changes:
            changes = state.changes
            yield message("changed", {"changes": changes})
        if state.live and (latest := dumps(state.live.as_json())) != live:
            live = latest
            yield f"event: live\ndata: {live}\n\n".encode()
        if now() >= health_due:
            health_due = now() + _HEALTH_EVERY_S
            yield message("health", await run_in_threadpool(current_health, state, board, now))
        await asyncio.sleep(_LOOK_EVERY_S)


def current_health(state: State, board: BoardWatch, now: Callable[[], float]) -> dict[str, Any]:
    """Return the present health for the page."""
    frame_age = now() - state.live.shown if state.live else None
    return as_json(checked(state.health), board(), frame_age)


def message(kind: str, content: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return f"event: {kind}\ndata: {dumps(content)}\n\n".encode()
