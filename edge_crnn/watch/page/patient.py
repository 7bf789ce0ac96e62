"""Uvicorn's HTTP protocol with a limit on the time in which a client must send a request."""

from __future__ import annotations

import asyncio
from functools import cache

from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """Closes connections on which no request has arrived in time.

    Uvicorn itself limits only the time between requests. A client that sends one byte now and then would keep its
    connection, and a few of them would keep all.
    """

    patience = 10.0
    """Seconds."""

    @classmethod
    @cache
    def within(cls, seconds: float) -> type[PatientProtocol]:
        """Return the protocol with its patience in seconds."""
        return type("PatientProtocol", (cls,), {"patience": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self.loop.call_later(self.patience, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None:
            self.transport.abort()
