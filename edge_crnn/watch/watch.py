"""The loop: from a camera to events.

with open_reader("plates") as reader:
    for event in watch("rtsp://camera.local/stream", reader):
        print(event.kind, event.text)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SourceError
from ..reader import Reader
from .event import Event
from .events import Events, Rules
from .frame import Frame
from .line import Line
from .lists import Lists
from .newest import Newest
from .protocols import Finder, Source
from .sighting import Sighting

if TYPE_CHECKING:
    from types import TracebackType

    from .finding.region import Region

_PATIENCE = 0.5
"""Seconds to wait for a frame before looking whether to stop."""


class Watch(Iterator[Event]):
    """The events of a camera, as an iterator; `watch` makes it.

    It ends when a recording ends, or after `stop`. Before that, all open passages end. Only one thread may iterate.
    """

    def __init__(
        self,
        newest: Newest,
        finder: Finder,
        events: Events,
        on_frame: Callable[[Frame, Sequence[Sighting]], None] | None = None,
    ) -> None:
        self.newest = newest
        """Delivers the frames, and counts what was dropped and how often the source failed."""
        self._finder = finder
        self._events = events
        self._on_frame = on_frame
        self._stopped = threading.Event()
        self._loop = self._run()

    def __next__(self) -> Event:
        return next(self._loop)

    def stop(self) -> None:
        """Take no further frames, and let the iterator end all open passages; any thread may call it."""
        self._stopped.set()

    def close(self) -> None:
        """Close the source; the iterator yields nothing more. Call it in the thread that iterates."""
        self._stopped.set()
        self._loop.close()
        self.newest.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> Generator[Event, None, None]:
        try:
            while not self._stopped.is_set() and not self.newest.ended:
                try:
                    frame = self.newest.take(_PATIENCE)
                except SourceError:
                    yield from self._events.end()
                    raise
                if frame is not None:
                    yield from self._events_of(frame)
            yield from self._events.end()
        finally:
            self.newest.close()

    def _events_of(self, frame: Frame) -> Iterator[Event]:
        # A frame of a recording has no time of arrival but that at which it was taken.
        arrival = frame.seconds if self.newest.source.is_live else time.monotonic()
        sightings = self._finder.find(frame)
        if self._on_frame is not None:
            self._on_frame(frame, sightings)
        for event in self._events.update(frame, sightings):
            yield replace(event, delay=max(time.monotonic() - arrival, 0.0))


def watch(
    source: Source | str,
    reader: Reader,
    *,
    camera: str | None = None,
    regions: Sequence[Region] = (),
    finder: Finder | None = None,
    lists: Lists | None = None,
    line: Line | None = None,
    min_agreement: int = Rules.min_agreement,
    settle: float = Rules.settle,
    leave_after: float = Rules.leave_after,
    update_after: float = Rules.update_after,
    rejected: bool = False,
    on_frame: Callable[[Frame, Sequence[Sighting]], None] | None = None,
) -> Watch:
    """Watch a camera or a recording, and report one passage per vehicle.

    A passage has one event `new`, as many events `update` as its text, its best crop or its direction changes, and one
    event `end`. All have the same identity. A recording gives the same events each time, apart from identities,
    delays, and the date on which it is read.

    Args:
        source: an address, see `sources.open_source`, or a source, such as one that was opened with other options.
        reader: reads the plates.
        camera: name of the camera in the events; None: the name of the source.
        regions: where in the frame plates are looked for, see `finding.region`; none: everywhere.
        finder: finds and reads plates, in place of `finding.finder.RegionFinder`.
        lists: plates that are allowed or blocked.
        line: the line whose crossings are watched.
        min_agreement: see `Rules`, as the next four.
        settle: seconds.
        leave_after: seconds.
        update_after: seconds.
        rejected: whether passages with a rejected text are reported, too.
        on_frame: called with every frame and what was read in it, such as for a live image.

    Raises:
        InputError: a number is out of range, or the address is of no known kind.

    The iterator raises:
        SourceError: a recording cannot be read. A camera that fails is waited for.
        BackendError: the engine failed.
    """
    rules = Rules(min_agreement, settle, leave_after, update_after, rejected)
    if isinstance(source, str):
        from .sources import open_source

        source = open_source(source)
    if finder is None:
        from .finding.finder import RegionFinder
        from .finding.region import Region

        finder = RegionFinder(reader, regions or (Region(),), rejected=rejected)
    events = Events(
        source.name if camera is None else camera,
        reader.fuse_decoded if lists is None else lists.fuse,
        rules=rules,
        line=line,
        listed=None if lists is None else lists.listed,
    )
    return Watch(Newest(source), finder, events, on_frame)
