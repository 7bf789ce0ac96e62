"""Events in the form of Frigate, for programs that listen to it.

Topics: `<prefix>/available` (online or offline, retained), `<prefix>/events` (JSON with `type`, `before` and `after`)
and `<prefix>/<camera>/<label>/snapshot` (the crop as JPEG, retained). Fields that Frigate fills from its recordings are
null or false here, so that nobody asks for a clip that does not exist. The text of a plate is in
`recognized_license_plate`, as in Frigate.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...progress import note
from .. import jpeg
from ..event import Event
from ..frame import box_of
from ..opencv import opencv
from .broker import Address, Broker, Credentials, Message, slug
from .form import dumps
from .published import Published, check_topic

_MOST_PASSAGES: Final = 1000
"""Passages whose last state is remembered; more are never in view at once."""


@dataclass(frozen=True)
class FrigateSettings:
    """Where events go, and under which topics."""

    address: Address
    prefix: str = "frigate"
    label: str = "license_plate"
    """The label of all objects; listeners may be set to one, such as `car`."""
    credentials: Credentials | None = None


class Frigate(Published):
    """Publishes events as Frigate does, and keeps them in order while the broker is away.

    Args:
        settings: where events go.
        say: takes notes for the user.

    Raises:
        BackendUnavailable: paho-mqtt or OpenCV is not installed.
        InputError: the prefix or the label cannot be part of a topic, or a certificate cannot be read.
    """

    def __init__(self, settings: FrigateSettings, say: Callable[[str], None] = note) -> None:
        opencv()
        check_topic(settings.prefix)
        check_topic(settings.label)
        self._settings = settings
        self._states: OrderedDict[str, dict[str, Any]] = OrderedDict()
        broker = Broker(settings.address, f"{settings.prefix}/available", credentials=settings.credentials, say=say)
        super().__init__(broker, f"{settings.address} ({settings.prefix})", say)

    def _publish(self, event: Event) -> None:
        super()._publish(event)
        self._remember(event)

    def _messages(self, event: Event) -> Iterator[Message]:
        after = state_of(event, self._settings.label)
        before = self._states.get(event.identity, after)
        yield Message(f"{self._settings.prefix}/events", dumps({"type": event.kind, "before": before, "after": after}))
        if event.crop.size and event.kind != "end":
            topic = f"{self._settings.prefix}/{slug(event.camera)}/{self._settings.label}/snapshot"
            yield Message(topic, jpeg.encode(event.crop), retain=True)

    def _remember(self, event: Event) -> None:
        self._states.pop(event.identity, None)
        if event.kind != "end":
            self._states[event.identity] = state_of(event, self._settings.label)
        if len(self._states) > _MOST_PASSAGES:
            self._states.popitem(last=False)


def state_of(event: Event, label: str) -> dict[str, Any]:
    """Return the state of an object as in Frigate's `before` and `after`; times are seconds since the epoch."""
    left, top, right, bottom = (round(edge) for edge in box_of(event.quad))
    width, height = right - left, bottom - top
    return {
        "id": event.identity,
        "camera": slug(event.camera),
        "frame_time": event.last_seen,
        "snapshot": None,
        "label": label,
        "sub_label": None,
        "top_score": event.confidence,
        "false_positive": False,
        "start_time": event.first_seen,
        "end_time": event.last_seen if event.kind == "end" else None,
        "score": event.confidence,
        "box": [left, top, right, bottom],
        "area": width * height,
        "ratio": round(width / height, 2) if height else 0.0,
        "region": [left, top, right, bottom],
        "active": event.kind != "end",
        "stationary": False,
        "motionless_count": 0,
        "position_changes": 0,
        "current_zones": [] if event.kind == "end" else [event.region],
        "entered_zones": [event.region],
        "has_clip": False,
        "has_snapshot": False,
        "attributes": {},
        "current_attributes": [],
        "recognized_license_plate": event.text,
        "recognized_license_plate_score": event.confidence,
    }
