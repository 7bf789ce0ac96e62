"""Sightings: a plate that was read in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..reading import Reading
from .frame import Pixels, Quad


@dataclass(frozen=True, eq=False)
class Sighting:
    """A plate that was read in one frame."""

    quad: Quad
    """Where it is in the frame."""
    region: str
    """Name of the region in which it was looked for."""
    crop: Pixels
    """The rectified pixels that were read, (h, w, 3) BGR uint8."""
    reading: Reading
    """What the crop alone reads; `reading.accepted` holds, unless rejected readings were asked for."""
    probabilities: npt.NDArray[np.float32]
    """What the network gave for the crop, (steps, classes), so that readings of several frames can be fused."""
