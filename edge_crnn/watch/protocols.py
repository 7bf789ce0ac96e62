"""What the parts of the loop give to each other."""

from __future__ import annotations

from typing import Final, Protocol

from .event import Event
from .frame import Frame, Pixels
from .sighting import Sighting

CLOSE_S: Final = 5.0
"""Seconds that a sink has to write what is left."""


class Source(Protocol):
    """Something that delivers frames. One thread uses it: it opens it, reads until the end or a failure, and closes it.

    A source does no waiting for its return, no dropping and no counting; `newest.Newest` does that for all of them.
    """

    name: str
    """For people, without passwords: `rtsp://camera.local/stream`."""
    is_live: bool
    """True for cameras: frames that nobody takes in time are dropped, and an end is a failure. False for recordings."""

    def open(self) -> None:
        """Connect. Raises SourceError if it cannot be had now; the message says why."""

    def read(self) -> tuple[Pixels, float | None] | None:
        """Wait for the next frame; None: the recording has ended.

        Returns the pixels and, for recordings, the seconds since the start.
        Raises SourceError if nothing came in time, or the stream is broken.
        """

    def close(self) -> None:
        """Close it; it may be opened again. Does nothing if it is closed."""


class Finder(Protocol):
    """Finds and reads plates in frames."""

    def find(self, frame: Frame) -> list[Sighting]:
        """Return what was read in a frame; an empty list if nothing moves, or no plate is there."""


class Sink(Protocol):
    """Takes events. A sink never blocks the loop: what takes time happens in another thread with a bounded queue."""

    def put(self, event: Event) -> None:
        """Take an event. Trouble is noted once and counted, and reading continues."""

    def close(self, within_s: float = CLOSE_S) -> None:
        """Write what is left, as far as it can be done within `within_s` seconds.

        Another thread may call it again meanwhile, to shorten the time.
        """
