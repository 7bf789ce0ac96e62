"""Reads a source all the time and keeps the newest frame, so that whoever takes frames is never behind.

A camera that fails is opened again and again until it returns. A recording is read without loss, a few frames ahead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType

from ..errors import BackendUnavailable, SourceError, without_traceback
from ..progress import note as to_stderr
from .frame import Frame, Pixels
from .protocols import Source

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 3.0
"""With the time for connecting and for the first readings, events come within 5 seconds of a camera's return."""
_AHEAD = 2
"""Frames of a recording that are read ahead."""
_CLOSING_S = 1.0
"""Longest wait for the thread at `close`. It may be reading, and ends with the next frame or time-out."""


@dataclass(frozen=True)
class Counts:
    """What happened since the start."""

    read: int = 0
    """Frames from the source."""
    delivered: int = 0
    """Frames that were taken."""
    dropped: int = 0
    """Frames of a camera that nobody took before the next one came."""
    reconnects: int = 0
    """How many times frames came again after an outage."""
    connected_since: float | None = None
    """Seconds since the epoch of the first frame since the last outage; None: no frames come at present."""
    last_error: str | None = None
    """The reason of the last outage, which may be over."""


class Newest:
    """Delivers the newest frame of a camera, or every frame of a recording.

        with Newest(open_source("rtsp://camera.local/stream")) as frames:
            for frame in frames:
                ...

    For a recording, iteration ends with it; for a camera, only after `close`. Frames are taken by one thread;
    `counts` and `close` may be called from any.

    Args:
        source: the source. It is opened, read and closed by a thread of this object.
        note: writes a line about an outage of a camera, once, and about its return.
        waits: seconds to wait before the first and, at most, before a later attempt to open a camera again. They
            count from the start of the last attempt, and double in between.
        clock: gives monotonic seconds.
        wall_clock: gives seconds since the epoch.
    """

    def __init__(
        self,
        source: Source,
        *,
        note: Callable[[str], None] = to_stderr,
        waits: tuple[float, float] = (_FIRST_WAIT_S, _LONGEST_WAIT_S),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self.on_take: Callable[[], None] | None = None
        """Is called by every `take`, in the thread that takes, such as for a sign of life."""
        self._note = note
        self._waits = waits
        self._clock = clock
        self._wall_clock = wall_clock
        self._started = wall_clock()
        self._frames: deque[Frame] = deque()
        self._counts = Counts()
        self._error: Exception | None = None
        self._is_over = False
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._out_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"frames of {source.name}", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """What happened since the start."""
        with self._changed:
            return self._counts

    @property
    def ended(self) -> bool:
        """Whether `take` will return no more frames: a recording has ended, or `close` was called."""
        with self._changed:
            return self._closed.is_set() or (self._is_over and not self._frames and self._error is None)

    @property
    def has_started(self) -> bool:
        """Whether the first frame has come, or the first attempt to get one has failed."""
        with self._changed:
            return self._has_started()

    def wait_for_start(self, timeout: float | None = None) -> bool:
        """Wait until `has_started`, and return it. Takes no frame.

        Args:
            timeout: longest wait in seconds; None: any.

        Raises:
            SourceError: a recording cannot be read at all.
            BackendUnavailable: a package that the source needs is not installed.
        """
        with self._changed:
            has_started = self._changed.wait_for(self._has_started, timeout)
            if self._error is not None and not self._counts.read:
                raise self._error
            return has_started

    def _has_started(self) -> bool:
        return bool(self._counts.read) or self._counts.last_error is not None or self._is_over

    def take(self, timeout: float | None = None) -> Frame | None:
        """Wait for a frame that has not been taken.

        Args:
            timeout: longest wait in seconds; None: until a frame comes or there will be none.

        Returns:
            The newest frame of a camera, or the next one of a recording; None: no frame came in time, or `ended`.

        Raises:
            SourceError: a recording cannot be read, at all or from here on.
            BackendUnavailable: a package that the source needs is not installed.
        """
        if self.on_take is not None:
            self.on_take()
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._is_over or self._closed.is_set(), timeout)
            if self._closed.is_set():
                return None
            if self._frames:
                frame = self._frames.popleft()
                self._counts = replace(self._counts, delivered=self._counts.delivered + 1)
                self._changed.notify_all()
                return frame
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as `take` returns them."""
        while (frame := self.take()) is not None:
            yield frame

    def close(self) -> None:
        """Stop reading and close the source. A thread that waits in `take` gets None."""
        with self._changed:
            self._closed.set()
            self._frames.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_S)

    def __enter__(self) -> Newest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            if self.source.is_live:
                self._follow()
            else:
                self._play()
        except Exception as error:  # goes to the thread that takes
            self._error = without_traceback(error)
        finally:
            self._close_source()
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _close_source(self) -> None:
        with suppress(Exception):  # a camera that was unplugged may refuse; what was delivered is delivered
            self.source.close()

    def _play(self) -> None:
        """Read a recording to its end."""
        self.source.open()
        while not self._closed.is_set() and (content := self.source.read()) is not None:
            pixels, seconds = content
            assert seconds is not None, "a recording gives the time of its frames"
            self._add(pixels, seconds, self._started + seconds, limit=_AHEAD)

    def _follow(self) -> None:
        """Read a camera until `close`, and open it again whenever it fails."""
        wait, longest = self._waits
        next_wait = wait
        while not self._closed.is_set():
            attempt = self._clock()
            read_before = self._counts.read
            try:
                self.source.open()
                self._read_camera()
            except BackendUnavailable:
                raise
            except SourceError as error:
                self._report_outage(str(error))
            except Exception as error:  # a broken stream may confuse a decoder, which works again with the next one
                self._report_outage(f"{self.source.name}: failed ({error!r}); report this, with the kind of the camera")
            finally:
                self._close_source()
            if self._counts.read > read_before:
                if self._clock() - attempt > longest:  # else it fails again and again, and is not worth many notes
                    next_wait = wait
                attempt = self._clock()
            # A moment at least, also after an attempt that took long: a camera that starts is not overrun.
            rest = max(attempt + next_wait - self._clock(), min(wait, next_wait))
            self._closed.wait(rest)
            next_wait = min(2 * next_wait, longest)

    def _read_camera(self) -> None:
        while not self._closed.is_set():
            content = self.source.read()
            if content is None:
                raise SourceError(f"{self.source.name}: the stream has ended; check the camera")
            self._report_return()
            self._add(content[0], self._clock(), self._wall_clock(), limit=1)

    def _add(self, pixels: Pixels, seconds: float, moment: float, limit: int) -> None:
        """Put a frame where `take` finds it: in place of the last one of a camera; a recording waits for room."""
        with self._changed:
            if not self.source.is_live:
                self._changed.wait_for(lambda: len(self._frames) < limit or self._closed.is_set())
            if self._closed.is_set():
                return
            dropped = self._counts.dropped
            if len(self._frames) >= limit:
                self._frames.popleft()
                dropped += 1
            self._frames.append(Frame(self._counts.read, seconds, moment, pixels))
            self._counts = replace(
                self._counts,
                read=self._counts.read + 1,
                dropped=dropped,
                connected_since=self._counts.connected_since or moment,
            )
            self._changed.notify_all()

    def _report_outage(self, reason: str) -> None:
        with self._changed:
            self._counts = replace(self._counts, connected_since=None, last_error=reason)
            self._changed.notify_all()
        if self._out_since is None and not self._closed.is_set():
            self._out_since = self._clock()
            self._note(f"{reason}; trying again until it returns")

    def _report_return(self) -> None:
        if self._out_since is None:
            return
        seconds = self._clock() - self._out_since
        self._out_since = None
        if self._counts.read:
            with self._changed:
                self._counts = replace(self._counts, reconnects=self._counts.reconnects + 1)
        self._note(f"{self.source.name}: frames come again after {seconds:,.0f} s")
