"""Events: what is reported of one vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .frame import Pixels, Quad

Kind: TypeAlias = Literal["new", "update", "end"]
"""`new`: a plate is read for the first time; `update`: its text, best crop or direction has changed; `end`: it left."""
Listed: TypeAlias = Literal["allowed", "blocked", "unlisted"]


@dataclass(frozen=True, eq=False)
class Event:
    """What is known of a vehicle. All events of one passage have the same `identity`."""

    kind: Kind
    identity: str
    """Unique across cameras and restarts: seconds since the epoch and random letters, as in `1796088246.48-k3v9q2`."""
    camera: str
    region: str
    text: str
    """The text for a person, fused over all frames so far."""
    label: str
    """The text in the network's own symbols."""
    confidence: float
    """Confidence of the fused reading, in [0, 1]."""
    accepted: bool
    agreeing: int
    """Number of sightings that read this text alone."""
    sightings: int
    """Number of frames in which the plate was read."""
    first_seen: float
    """Seconds since the epoch."""
    last_seen: float
    """Seconds since the epoch."""
    delay: float
    """Seconds from the arrival of the newest frame of the event to the event."""
    quad: Quad
    """Where the plate was last."""
    crop: Pixels
    """The crop that shows the text best."""
    listed: Listed = "unlisted"
    rescued: bool = False
    """True if the text is from a list and differs by one symbol from what the network sees."""
    direction: str | None = None
    """How it crossed the line: the name of the side that it went to; None: no line, or not crossed."""
