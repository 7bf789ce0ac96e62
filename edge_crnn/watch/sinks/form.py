"""The JSON form of events."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from ...errors import InputError
from ...model.schema import schema_of
from ...model.typed import build
from ...terminal import printable_json
from ..event import Event, Facts

VERSION: Final = 1
"""Version of the form; it changes if a field is removed or gets another meaning."""
_Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class EventRecord(Facts):
    """One event of a vehicle, without its crop."""

    version: Literal[1]
    quad: tuple[_Point, _Point, _Point, _Point]
    """Corners (x, y) of the plate in pixels of the frame, clockwise from the top left one as the text reads."""


def as_json(event: Event) -> dict[str, Any]:
    """Return the JSON object of an event, with the fields of `EventRecord`.

    Numbers of NumPy become Python's.
    """
    facts = {field.name: _plain(getattr(event, field.name)) for field in fields(Facts)}
    return {"version": VERSION, **facts, "quad": event.quad.tolist()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def dumps(content: Any) -> str:
    """Return JSON on one line. Only control characters and half characters, which UTF-8 does not have, are escaped.

    Raises:
        ValueError: a number is infinite or not a number.
    """
    return printable_json(json.dumps(content, ensure_ascii=False, allow_nan=False))


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
    return schema_of("Event of edge-crnn watch", {}, EventRecord, Facts, open_ended=True)
