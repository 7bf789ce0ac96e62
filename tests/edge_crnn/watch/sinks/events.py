"""Events for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_crnn.watch.event import Event

START = 1796088246.48
QUAD = np.array([[10, 20], [110, 22], [109, 52], [9, 50]], np.float32)


def an_event(kind: str = "new", text: str = "서울 18 나 6897", **changes: Any) -> Event:
    """Return an event of a passage at `START`, with a crop of 96×32 pixels."""
    crop = np.random.default_rng(0).integers(0, 256, (32, 96, 3), np.uint8)
    facts: dict[str, Any] = {
        "kind": kind,
        "identity": f"{START}-k3v9q2",
        "camera": "front",
        "region": "gate",
        "text": text,
        "label": text.replace(" ", ""),
        "confidence": 0.98,
        "accepted": True,
        "agreeing": 3,
        "sightings": 4,
        "first_seen": START,
        "last_seen": START + 1.5,
        "delay": 0.12,
        "listed": "unlisted",
        "rescued": False,
        "direction": None,
        "quad": QUAD,
        "crop": crop,
    }
    return Event(**{**facts, **changes})


def numbered(count: int, **changes: Any) -> list[Event]:
    """Return events of different passages, whose texts are 0, 1, 2, …"""
    return [an_event(text=str(n), identity=f"{START + n:.2f}-k3v9q2", **changes) for n in range(count)]
