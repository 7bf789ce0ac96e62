from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from edge_crnn.watch.page.streams import Places, Stream

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def parts() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"%d" % number


async def broken() -> AsyncIterator[bytes]:
    yield b"0"
    raise RuntimeError("broken")


async def never() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


def run(places: Places, source: AsyncIterator[bytes], send: Send, receive: Any = never) -> None:
    stream = Stream(source, "text/plain", places)
    asyncio.run(asyncio.wait_for(stream({"type": "http"}, receive, send), 5))


def test_a_stream_sends_its_parts_and_leaves_its_place() -> None:
    places, sent = Places(1), []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body"))
        assert places.free == 0

    run(places, parts(), send)
    assert sent == [None, b"0", b"1", b"2", b""]
    assert places.free == 1


def test_a_client_that_left_loses_its_place() -> None:
    places = Places(1)

    async def send(message: MutableMapping[str, Any]) -> None:
        await never()

    run(places, parts(), send, gone)
    assert places.free == 1


def test_an_error_in_a_stream_is_not_hidden() -> None:
    places = Places(1)

    async def send(message: MutableMapping[str, Any]) -> None:
        pass

    with pytest.raises(RuntimeError, match="broken"):
        run(places, broken(), send)
    assert places.free == 1
