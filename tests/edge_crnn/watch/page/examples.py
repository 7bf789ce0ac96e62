"""Events, frames and a loop for the tests of the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_crnn.reading import Reading
from edge_crnn.watch.event import Event
from edge_crnn.watch.finding.region import Region
from edge_crnn.watch.frame import Frame
from edge_crnn.watch.page.health import Health
from edge_crnn.watch.sighting import Sighting

LOCAL = "http://127.0.0.1:8080"
TOKEN = "a-token-of-the-tests-only"
SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))


def an_event(number: int = 0, **changes: object) -> Event:
    """Return an event; its crop has a shade of its own."""
    values: dict[str, object] = {
        "kind": "new",
        "identity": f"1796088246.48-k3v9{number:02}",
        "camera": "gate",
        "region": "entry",
        "text": "서울 18 나 6897",
        "label": "A18sk6897",
        "confidence": 0.987,
        "accepted": True,
        "agreeing": 4,
        "sightings": 5,
        "first_seen": 1796088246.0 + number,
        "last_seen": 1796088248.0 + number,
        "delay": 0.2,
        "listed": "unlisted",
        "rescued": False,
        "direction": None,
        "quad": np.zeros((4, 2), np.float32),
        "crop": np.full((40, 160, 3), number % 256, np.uint8),
    }
    return Event(**{**values, **changes})  # type: ignore[arg-type]


def a_frame(number: int = 0, height: int = 72, width: int = 128) -> Frame:
    """Return a grey frame."""
    return Frame(number, number / 25, 1796088246.0 + number / 25, np.full((height, width, 3), 90, np.uint8))


def a_sighting(frame: Frame, text: str = "서울 18 나 6897") -> Sighting:
    """Return a reading in the middle of a frame."""
    height, width = frame.pixels.shape[:2]
    quad = np.array([(0.4, 0.5), (0.6, 0.5), (0.6, 0.6), (0.4, 0.6)], np.float32) * (width, height)
    reading = Reading(text, "A18sk6897", 0.98, (), (), accepted=True)
    return Sighting(quad.astype(np.float32), "entry", frame.pixels[:4], reading, np.zeros((1, 1), np.float32))


class Loop:
    """What the loop would tell the page."""

    def __init__(self) -> None:
        self.health = Health(frames=100, frames_per_second=25.0, delay=0.18, dropped=3, reconnects=1)
        self.regions: Sequence[Region] = (Region("entry", SQUARE, heights=(20.0, 80.0)),)
        self.error: Exception | None = None

    def save(self, regions: Sequence[Region]) -> None:
        """Take the regions, or fail."""
        if self.error:
            raise self.error
        self.regions = regions
