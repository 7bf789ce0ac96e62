"""A thread with a bounded queue, which delivers what takes time."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Generic, TypeVar

from ...errors import InputError, OutputError
from ...progress import note
from ..event import Event
from ..protocols import CLOSE_S

MOST_ITEMS: Final = 10_000
MOST_BYTES: Final = 16 << 20
_EVENT_BYTES: Final = 2048
"""What an event needs without its crop."""
_GRACE_S: Final = 0.5
"""Seconds that a delivery may take longer than it should."""

_T = TypeVar("_T")


class Queued(Generic[_T]):
    """Delivers items in order, in a thread of its own, and keeps them while they cannot be delivered.

    Trouble is noted once when it begins, and once when it is over. If the queue is full, its oldest item is dropped.

    Args:
        name: what the items go to, for notes.
        deliver: delivers an item. OutputError: it cannot be done now, so the item is tried again after a pause;
            InputError: it can never be done, so the item is given up.
        rest: is called at the start and after every `rest_s` seconds, in the same thread; it may raise OutputError.
        most_items: the largest number of items that wait.
        most_bytes: the largest size of the items that wait; a single item may be larger.
        pauses: the shortest and the longest pause before another attempt, in seconds; a pause is twice the last one.
        say: takes notes for the user.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[_T], None],
        *,
        rest: Callable[[], None] | None = None,
        rest_s: float = 60.0,
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
        pauses: tuple[float, float] = (1.0, 30.0),
        say: Callable[[str], None] = note,
    ) -> None:
        self.name = name
        self.delivered = 0
        self.dropped = 0
        """Number of items that were dropped because the queue was full."""
        self.refused = 0
        """Number of items that were given up because they can never be delivered."""
        self.trouble: str | None = None
        """Why nothing can be delivered now; None if it can."""
        self._deliver = deliver
        self._rest = rest
        self._rest_s = rest_s
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._pauses = pauses
        self._say = say
        self._items: deque[tuple[_T, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_delivering = False
        self._deadline: float | None = None
        self._said_dropped = 0
        self._has_said_left = False
        self._rest_trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Return the number of items that wait."""
        return len(self._items)

    @property
    def is_late(self) -> bool:
        """True if the time to close is over, so that a delivery under way must give up."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def has_ended(self) -> bool:
        """True if the thread has ended."""
        return not self._thread.is_alive()

    def put(self, item: _T, size: int) -> None:
        """Append an item of `size` bytes. Never waits for a delivery.

        Raises:
            OutputError: the queue has been closed.
        """
        with self._changed:
            if self._deadline is not None:
                raise OutputError(None, f"{self.name}: is closed; put no events after close()")
            self._items.append((item, size))
            self._bytes += size
            self._make_room()
            self._changed.notify_all()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Deliver what waits, for at most `within_s` seconds, and say how much is left.

        Another thread may call it again meanwhile, to shorten the time.
        """
        with self._changed:
            earlier = math.inf if self._deadline is None else self._deadline
            self._deadline = min(earlier, time.monotonic() + within_s)
            self._changed.notify_all()
        self._thread.join(within_s + _GRACE_S)
        with self._changed:
            left = 0 if self._has_said_left else len(self._items)
            self._has_said_left = True
        if left:
            self._say(f"{self.name}: {left} not delivered ({self.trouble or 'no time left'})")
        self._say_dropped()

    def _make_room(self) -> None:
        """Drop the oldest items that are not being delivered, until the rest fits."""
        first = 1 if self._is_delivering else 0
        while len(self._items) > first + 1 and (len(self._items) > self._most_items or self._bytes > self._most_bytes):
            _, size = self._items[first]
            del self._items[first]
            self._bytes -= size
            self.dropped += 1

    def _run(self) -> None:
        pause = self._pauses[0]
        next_rest = time.monotonic()
        while True:
            if self._rest is not None and time.monotonic() >= next_rest:
                self._rest_once(self._rest)
                next_rest = time.monotonic() + self._rest_s
            with self._changed:
                if not self._items:
                    if self._deadline is not None:
                        return
                    self._changed.wait(None if self._rest is None else max(0.0, next_rest - time.monotonic()))
                    continue
                item, size = self._items[0]
                self._is_delivering = True
            is_done = self._try(item)
            with self._changed:
                self._is_delivering = False
                if is_done:
                    self._items.popleft()
                    self._bytes -= size
                    pause = self._pauses[0]
                elif self._deadline is None:
                    self._changed.wait_for(lambda: self._deadline is not None, pause)
                    pause = min(2 * pause, self._pauses[1])
                else:
                    self._changed.wait(min(self._pauses[0], 0.2))
            if self.is_late:
                return

    def _try(self, item: _T) -> bool:
        """Deliver an item; return False if it must be tried again."""
        try:
            self._deliver(item)
        except OutputError as error:
            if self.trouble is None and not self.is_late:
                self._say(f"{error}; events are kept and delivered later")
            self.trouble = str(error)
            return False
        except Exception as error:  # anything else would end the thread, and events would pile up unseen
            if not self.refused:
                reason = error if isinstance(error, InputError) else f"{self.name}: {error!r}"
                self._say(f"{reason}; such events are given up and counted")
            self.refused += 1
        else:
            self.delivered += 1
            if self.trouble is not None:
                self._say(f"{self.name}: works again")
        self.trouble = None
        self._say_dropped()
        return True

    def _say_dropped(self) -> None:
        if new := self.dropped - self._said_dropped:
            self._said_dropped += new
            self._say(f"{self.name}: dropped the {new} oldest that waited, because the queue was full")

    def _rest_once(self, rest: Callable[[], None]) -> None:
        try:
            rest()
        except OutputError as error:
            if self._rest_trouble is None:
                self._say(f"{error}; it is tried again every {self._rest_s:g} seconds")
            self._rest_trouble = str(error)
        else:
            self._rest_trouble = None


def detached(event: Event) -> Event:
    """Return an event whose crop does not keep the frame alive from which it was cut, nor changes with it."""
    return event if event.crop.base is None else replace(event, crop=event.crop.copy())


def size_of(event: Event) -> int:
    """Return the number of bytes that an event needs in memory, roughly."""
    return int(event.crop.nbytes) + _EVENT_BYTES
