"""The JSON form of events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from ...errors import InputError
from ...model.schema import schema_of
from ...model.typed import build
from ..event import Event, Kind, Listed

VERSION: Final = 1
"""Version of the form; it changes if a field is removed or gets another meaning."""
_Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class EventRecord:
    """One event of a vehicle, without its crop. Times are seconds since the epoch."""

    version: Literal[1]
    kind: Kind
    """new: a plate is read for the first time; update: something has changed; end: the vehicle has left."""
    identity: str
    """The same for all events of one passage."""
    camera: str
    region: str
    text: str
    """The text for a person, fused over all frames so far; a hash if plates are hashed."""
    label: str
    """The text in the network's own symbols; a hash if plates are hashed."""
    confidence: float
    """Confidence of the fused reading, in [0, 1]."""
    accepted: bool
    agreeing: int
    """Number of sightings that read this text alone."""
    sightings: int
    """Number of frames in which the plate was read."""
    first_seen: float
    last_seen: float
    delay: float
    """Seconds from the arrival of the newest frame of the event to the event."""
    quad: tuple[_Point, _Point, _Point, _Point]
    """Corners (x, y) of the plate in pixels of the frame, clockwise from the top left one as the text reads."""
    listed: Listed
    rescued: bool
    """True if the text is from a list and differs by one symbol from what the network sees."""
    direction: str | None
    """Name of the side of the line that the vehicle went to; null if it has crossed no line."""


def as_json(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event, with the fields of `EventRecord` in their order.

    Numbers of NumPy become Python's.
    """
    return {
        "version": VERSION,
        "kind": event.kind,
        "identity": event.identity,
        "camera": event.camera,
        "region": event.region,
        "text": event.text,
        "label": event.label,
        "confidence": float(event.confidence),
        "accepted": bool(event.accepted),
        "agreeing": int(event.agreeing),
        "sightings": int(event.sightings),
        "first_seen": float(event.first_seen),
        "last_seen": float(event.last_seen),
        "delay": float(event.delay),
        "quad": event.quad.tolist(),
        "listed": event.listed,
        "rescued": bool(event.rescued),
        "direction": event.direction,
    }


def dumps(content: Any) -> str:
    """Return JSON on one line. Only half characters, which UTF-8 does not have, are escaped.

    Raises:
        ValueError: a number is infinite or not a number.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def parse(text: str | bytes, origin: str) -> EventRecord:
    """Read the JSON object of an event. Fields that a later version has added are ignored.

    Raises:
        InputError: the text is not JSON, or a field is missing or has another type.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin}: not JSON ({error}); expected an event of `edge-crnn watch`") from error
    return build(EventRecord, data, origin, InputError, open_ended=True)


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema, draft 2020-12, of an event."""
    return schema_of("Event of edge-crnn watch", {}, EventRecord, open_ended=True)
