"""A source for tests: frames from memory, with faults where the test wants them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from ...errors import SourceError
from ..frame import Pixels
from .video import check_rate


class FakeSource:
    """Delivers frames from memory.

        FakeSource(frames)                                   # a recording
        FakeSource(frames, rate=25, is_live=True,
                   faults={100: "the cable is cut"}, refusals=3)

    Args:
        frames: the frames, (H, W, 3) uint8 BGR each; taken one by one, so they may come from a generator.
        rate: frames per second; the time of a recording, and the pace of a camera. None: a recording has 25, and a
            camera delivers as fast as it is read.
        faults: number of a frame, from 0 → what happens once before it. A number is a silence, in seconds; a text is
            the reason of a SourceError, after which the source must be opened again.
        refusals: how many times `open` fails after every such error.
        is_live: whether it is a camera. A camera fails at the end of its frames, and at every `open` after it.
        name: the name.

    Raises:
        InputError: `rate` is not positive.
    """

    def __init__(
        self,
        frames: Iterable[Pixels],
        *,
        rate: float | None = None,
        faults: Mapping[int, float | str] | None = None,
        refusals: int = 0,
        is_live: bool = False,
        name: str = "fake://camera",
    ) -> None:
        check_rate(rate)
        self.name = name
        self.is_live = is_live
        self.opened = 0
        """How many times `open` succeeded."""
        self.is_open = False
        self._frames = frames
        self._rate = rate
        self._faults = dict(faults or {})
        self._refusals = refusals
        self._refusals_left = 0
        self._left: Iterator[Pixels] | None = None
        self._number = 0
        self._is_over = False
        self._next_at = 0.0

    def open(self) -> None:
        """Open it. A recording begins anew; a camera continues with its next frame.

        Raises:
            SourceError: it refuses, or the frames of a camera are over.
        """
        if self._refusals_left:
            self._refusals_left -= 1
            raise SourceError(f"{self.name}: refused; open it again")
        if self.is_live and self._is_over:
            raise SourceError(f"{self.name}: its frames are over; give it more")
        if self._left is None or not self.is_live:
            self._left = iter(self._frames)
            self._number = 0
        self.is_open = True
        self.opened += 1
        self._next_at = time.monotonic()

    def read(self) -> tuple[Pixels, float | None] | None:
        """Return the next frame and, for a recording, its time; None at the end of a recording.

        Raises:
            SourceError: it is not open, a fault is due, or the frames of a camera are over.
        """
        if not self.is_open or self._left is None:
            raise SourceError(f"{self.name}: is not open; call open() first")
        fault = self._faults.pop(self._number, None)
        if isinstance(fault, str):
            self._refusals_left = self._refusals
            raise SourceError(f"{self.name}: {fault}")
        if fault is not None:
            time.sleep(fault)
        pixels = next(self._left, None)
        if pixels is None:
            self._is_over = True
            if self.is_live:
                raise SourceError(f"{self.name}: its frames are over; give it more")
            return None
        seconds = self._number / (self._rate or 25.0)
        self._number += 1
        if not self.is_live:
            return pixels, seconds
        if self._rate is not None:
            time.sleep(max(self._next_at - time.monotonic(), 0.0))
            self._next_at = max(self._next_at + 1 / self._rate, time.monotonic())
        return pixels, None

    def close(self) -> None:
        """Close it."""
        self.is_open = False
