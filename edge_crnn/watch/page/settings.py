"""Settings of the page."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError


@dataclass(frozen=True)
class Settings:
    """Where the page is served, to whom, and how much it may cost the board.

    Raises:
        InputError: the page would be open to the network without a token, or a number is out of range.
    """

    host: str = "127.0.0.1"
    """Address to bind to. Addresses of the network need `token_file`."""
    port: int = 8080
    """0: the system chooses one."""
    token_file: Path | None = None
    """File with the token that requests must show. It is created if it is missing."""
    live_rate: float = 4.0
    """Most live images per second."""
    live_width: int = 960
    """Width of live images in pixels; larger frames are scaled down."""
    viewers: int = 3
    """Most live images at a time. They share each encoded image, so this limits the network."""
    streams: int = 8
    """Most streams of events at a time; a page that is open takes one."""
    connections: int = 48
    """Most connections at a time."""
    body_bytes: int = 64 << 10
    """Largest body of a request."""
    request_s: float = 10.0
    """Longest time in seconds for a client to send a request, or to take a part of an answer."""

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.token_file is None:
            raise InputError(
                f"the page would be open to everyone who reaches {self.host}; name a file for its token,"
                " or serve it on 127.0.0.1"
            )
        if not 0 <= self.port <= 65535:
            raise InputError(f"port {self.port}: expected 0 to 65535")
        for name in ("live_rate", "live_width", "viewers", "streams", "connections", "body_bytes", "request_s"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected a positive number")


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
