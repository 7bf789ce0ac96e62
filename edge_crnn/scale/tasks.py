"""The tasks of a job: parts that wait, and parts that are read again because a process died while it read them.

The second try reads one image at a time and names its place first. An image that ends two such processes is the cause,
and gets a row with an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ..errors import BackendError
from .parts import Part

DEADLY = 3
"""Deaths of processes that read an image before it becomes a row with an error: one with others, two alone."""
MOST_FAILED = 3
"""Deaths of processes in succession that no image explains, before the part or the job is given up."""


@dataclass(frozen=True)
class Task:
    """A part to read, and the way to read it."""

    number: int
    part: Part
    alone: bool = False
    """Read one image at a time, because a process has died while it read the part."""
    deadly: frozenset[int] = frozenset()
    """Places in the part, from 0, of images that have ended several processes."""


@dataclass(frozen=True)
class Begun:
    """The image at a place of the part is about to be read alone."""

    place: int


@dataclass(frozen=True)
class Advanced:
    """Further images of the part have been read."""

    images: int


@dataclass(frozen=True)
class Outcome:
    """The end of a task."""

    number: int
    """The number of the part."""
    images: int = 0
    errors: int = 0
    """Rows with an error."""
    open_because: str | None = None
    """The reason why the part could not be read as a whole and has no shard; None if it has one."""


Event: TypeAlias = Begun | Advanced | Outcome


@dataclass
class Progress:
    """The place that a process has reached in its task."""

    images: int = 0
    """Images that have been read."""
    place: int | None = None
    """Place of the image that is being read alone."""

    def add(self, event: Begun | Advanced) -> int:
        """Take note of an event, and return the number of images that have been read since the last one."""
        if isinstance(event, Begun):
            self.place = event.place
            return 0
        self.place = None
        self.images += event.images
        return event.images


@dataclass
class _Deaths:
    """Deaths of processes that read a part one image at a time."""

    at_places: Counter[int] = field(default_factory=Counter)
    elsewhere: int = 0


class Tasks:
    """The tasks of a job, in the order of its parts; those that are done again come first.

    Args:
        parts: numbers and parts, which are taken as they are needed.
    """

    def __init__(self, parts: Iterable[tuple[int, Part]]) -> None:
        self._parts = iter(parts)
        self._again: deque[Task] = deque()
        self._deaths: defaultdict[int, _Deaths] = defaultdict(_Deaths)
        self._failed_starts = 0

    def next(self) -> Task | None:
        """Return the next task; None if there is none, though one may come back."""
        if self._again:
            return self._again.popleft()
        numbered = next(self._parts, None)
        return None if numbered is None else Task(*numbered)

    def begun(self) -> None:
        """Take note that a process has begun with its first task."""
        self._failed_starts = 0

    def not_begun(self, task: Task, processes: str, end: str, advice: str) -> None:
        """Have a task done again as it is, because its process ended before it began.

        Args:
            task: the task.
            processes: the word for processes of this kind, for the message.
            end: the way the process ended, for the message.
            advice: what to do about it, for the message.

        Raises:
            BackendError: this was the last of `MOST_FAILED` processes in succession.
        """
        self._failed_starts += 1
        if self._failed_starts == MOST_FAILED:
            raise BackendError(
                f"{MOST_FAILED} {processes} in succession ended before they could read ({end}); {advice}"
            )
        self._again.append(task)

    def died(self, task: Task, place: int | None, end: str) -> Outcome | None:
        """Have a task done again whose process has died, or give it up.

        Args:
            task: the task.
            place: place of the image that was being read alone; None: no such image.
            end: the way the process ended, for a message.

        Returns:
            The outcome if the task is given up.
        """
        if task.alone:
            deaths = self._deaths[task.number]
            if place is not None:
                deaths.at_places[place] += 1
                if deaths.at_places[place] == DEADLY - 1:
                    task = replace(task, deadly=task.deadly | {place})
            else:
                deaths.elsewhere += 1
                if deaths.elsewhere == MOST_FAILED:
                    return Outcome(
                        task.number,
                        open_because=f"{task.part.files[0].path}: {MOST_FAILED} processes died while they read its part"
                        f" ({end}); check that there is enough memory",
                    )
        self._again.append(replace(task, alone=True))
        return None
