"""Uvicorn's HTTP protocol with limits on slow clients, and on their number."""

from __future__ import annotations

import asyncio
from functools import cache

from uvicorn.protocols.http.h11_impl import H11Protocol

_CROWD = 2
"""How many times the largest number of connections may be open; those above the number itself are answered with 503."""


class PatientProtocol(H11Protocol):
    """Closes connections whose client lets the page wait.

    Uvicorn itself limits only the silence between requests. A client that sends one byte now and then, or that takes
    no answer, would keep its connection, and a few of them would keep all. Clients that are turned away for their
    number would keep theirs too, until the process can open no more files.
    """

    patience = 10.0
    """Longest time in seconds for a client to send the next request, or to take what was sent."""

    _asking: asyncio.TimerHandle | None = None
    """Runs while the client is to send a request."""
    _taking: asyncio.TimerHandle | None = None
    """Runs while the client is to take what was sent."""

    @classmethod
    @cache
    def within(cls, seconds: float) -> type[PatientProtocol]:
        """Return the protocol with its patience in seconds."""
        return type("PatientProtocol", (cls,), {"patience": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, unless there are too many connections."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > _CROWD * self.limit_concurrency:
            transport.abort()
            return
        transport.set_write_buffer_limits(0)  # so that writing pauses whenever something has not been taken
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        _cancel(self._asking)
        _cancel(self._taking)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._expect_request()

    def pause_writing(self) -> None:
        """Wait until the client takes what was sent."""
        super().pause_writing()
        self._taking = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, as the client has taken everything."""
        super().resume_writing()
        _cancel(self._taking)

    def _expect_request(self) -> None:
        _cancel(self._asking)
        self._asking = self.loop.call_later(self.patience, self._close_if_waiting)

    def _close_if_waiting(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
