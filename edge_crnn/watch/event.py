"""Events: what is reported of one vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .frame import Pixels, Quad

Kind: TypeAlias = Literal["new", "update", "end"]
Listed: TypeAlias = Literal["allowed", "blocked", "unlisted"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Facts:
    """What is known of a vehicle, apart from its place and its image. Times are seconds since the epoch."""

    kind: Kind
    """`new`: a plate is read for the first time; `update`: its text, best crop or direction has changed; `end`: the
    vehicle has left."""
    identity: str
    """The same for all events of one passage, and unique across cameras and restarts: seconds since the epoch and
    random letters, as in `1796088246.48-k3v9q2`."""
    camera: str
    region: str
    """Name of the region in which the plate was read last."""
    text: str
    """The text for a person, fused over all frames so far; a hash if plates are hashed."""
    label: str
    """The text in the network's own symbols; a hash if plates are hashed."""
    confidence: float
    """Confidence of the fused reading, in [0, 1]."""
    accepted: bool
    """Whether the fused reading is accepted."""
    agreeing: int
    """Number of sightings that read this text alone."""
    sightings: int
    """Number of frames in which the plate was read."""
    first_seen: float
    last_seen: float
    delay: float
    """Seconds from the arrival of the newest frame of the event to the event."""
    listed: Listed
    """On which list the plate is."""
    rescued: bool
    """True if the text is from a list and differs by one symbol from what the network sees."""
    direction: str | None
    """Name of the side of the line that the vehicle went to last; null: there is no line, or it was not crossed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Event(Facts):
    """What is known of a vehicle. All events of one passage have the same `identity`."""

    quad: Quad
    """Where the plate was last."""
    crop: Pixels
    """The crop that shows the text best."""
