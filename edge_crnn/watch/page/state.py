"""What the page shows: the newest frame, the last events, health and regions."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import InputError
from .. import jpeg
from ..event import Event
from ..finding.region import Region
from ..frame import Frame
from ..opencv import opencv
from ..protocols import CLOSE_S
from ..sighting import Sighting
from ..sinks.form import as_json
from .health import Health
from .search import matches, normal

_CROP_WIDEST, _CROP_HIGHEST, _CROP_QUALITY = 480, 240, 85
_LIVE_QUALITY = 70


@dataclass(frozen=True)
class Entry:
    """A passage, as its last event described it."""

    event: Event
    """Without its crop: `event.crop` is empty."""
    change: int
    """Number of the event among all that the page has taken, from 1."""
    crop: bytes | None
    """JPEG of at most 480 × 240 pixels; None: it could not be encoded."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form for the page: that of the event, and what the page adds."""
        return {**as_json(self.event), "change": self.change, "has_crop": self.crop is not None}


@dataclass(frozen=True)
class Live:
    """The newest frame, and what was read in it."""

    frame: Frame
    sightings: tuple[Sighting, ...]
    shown: float
    """Monotonic time in seconds at which the page got the frame."""

    def as_json(self) -> dict[str, Any]:
        """Return the readings and their corners in shares of the frame."""
        height, width = self.frame.pixels.shape[:2]
        size = np.array((width, height), np.float32)
        return {
            "aspect": width / height,
            "sightings": [
                {
                    "text": sighting.reading.text,
                    "accepted": bool(sighting.reading.accepted),
                    "points": np.round((sighting.quad / size).astype(float), 4).tolist(),
                }
                for sighting in self.sightings
            ],
        }


class State:
    """Takes frames and events from the loop, and gives them to the page. Any thread may use it.

    Memory is bounded: `most_events` passages with crops of at most some tens of kilobytes each, one frame and one
    encoded image.

    Args:
        camera: name of the camera, for people.
        health: returns the numbers of the loop; called from other threads, at most every second per viewer.
        regions: returns the regions that are searched.
        save_regions: keeps regions and applies them, such as `Regions.save`; it may raise errors of edge-crnn, whose
            message the page shows. None: the page shows regions, but cannot edit them.
        most_events: number of passages that are kept; the oldest go first.
        keep_s: seconds after which a passage that has not been seen again is forgotten; None: as long as there is room.

    Raises:
        BackendUnavailable: OpenCV is not installed.
        InputError: `most_events` is not positive.
    """

    def __init__(
        self,
        camera: str,
        *,
        health: Callable[[], Health] = Health,
        regions: Callable[[], Sequence[Region]] = tuple,
        save_regions: Callable[[Sequence[Region]], None] | None = None,
        most_events: int = 500,
        keep_s: float | None = None,
    ) -> None:
        opencv()
        if most_events < 1:
            raise InputError(f"most_events is {most_events}; expected a positive number")
        self.camera = camera.encode("utf-8", "replace").decode()  # an argument may have half characters
        self.health = health
        self.regions = regions
        self.save_regions = save_regions
        self._most_events = most_events
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._counts: Counter[str] = Counter({"new": 0, "update": 0, "end": 0})
        self._live: Live | None = None
        self._live_jpeg: tuple[Live | None, int, bytes] = (None, 0, b"")

    def show(self, frame: Frame, sightings: Sequence[Sighting] = ()) -> None:
        """Take the newest frame and its readings. It keeps the pixels without a copy; encoding waits for a viewer."""
        self._live = Live(frame, tuple(sightings), time.monotonic())

    def put(self, event: Event) -> None:
        """Take an event. The last event of a passage replaces those before it."""
        try:
            crop = jpeg.encode(event.crop, _CROP_QUALITY, (_CROP_WIDEST, _CROP_HIGHEST))
        except InputError:
            crop = None  # the page shows that there is none
        with self._lock:
            self._counts[event.kind] += 1
            self._entries[event.identity] = Entry(_without_pixels(event), self._counts.total(), crop)
            self._forget()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Do nothing: there is nothing left to write."""

    @property
    def live(self) -> Live | None:
        """The newest frame and its readings; None: there was no frame yet."""
        return self._live

    def live_jpeg(self, width: int) -> tuple[Live, bytes] | None:
        """Return the newest frame, and its JPEG of at most `width` pixels; encoded once however many look at it.

        Returns None without a frame. Takes milliseconds.
        """
        with self._encoding:
            live = self._live
            if live is None:
                return None
            encoded, encoded_width, data = self._live_jpeg
            if encoded is not live or encoded_width != width:
                data = jpeg.encode(live.frame.pixels, _LIVE_QUALITY, (width, width))
                self._live_jpeg = (live, width, data)
            return live, data

    @property
    def changes(self) -> int:
        """Number of events so far."""
        return self._counts.total()

    def counts(self) -> dict[str, int]:
        """Return the number of events of each kind."""
        with self._lock:
            return dict(self._counts)

    def events(self, search: str = "", most: int = 100) -> tuple[list[Entry], int]:
        """Return the newest passages whose plate contains `search`, newest first, and the number of all that do."""
        part = normal(search)
        with self._lock:
            self._forget()
            entries = list(reversed(self._entries.values()))
        if part:
            entries = [entry for entry in entries if matches(normal(entry.event.text), part)]
        return entries[:most], len(entries)

    def crop(self, identity: str) -> bytes | None:
        """Return the crop of a passage as JPEG; None if it is not there."""
        with self._lock:
            self._forget()
            entry = self._entries.get(identity)
        return entry.crop if entry else None

    def _forget(self) -> None:
        while len(self._entries) > self._most_events:
            del self._entries[next(iter(self._entries))]
        if self._keep_s is not None:
            oldest = time.time() - self._keep_s
            for identity in [name for name, entry in self._entries.items() if entry.event.last_seen < oldest]:
                del self._entries[identity]


def _without_pixels(event: Event) -> Event:
    return replace(event, crop=np.empty((0, 0, 3), np.uint8))
