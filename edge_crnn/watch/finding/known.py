"""Known plates: where a plate that was read is expected in the next frames, and how often it is read there.

An illegible plate that stands still is read in hundreds of windows. A few of them are accepted by chance, and they
agree, because they err alike. So a plate counts only while a good part of the frames read it.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from ..frame import Quad
from ..place import Place

_KEPT = 2.0
"""Seconds after which a plate that is read no longer is looked for like any other."""
_LONGEST = 0.3
"""Seconds for which a movement is continued."""
_FASTEST_GROWTH = 1.5
"""Limit of the change of size per second, as a natural logarithm."""
_RECENT = 10
"""Number of frames over which the readings are counted."""
_LEGIBLE = 0.4
"""Least share of these frames in which a legible plate is read."""
_BEFORE = (False, False, False)
"""Assumed readings of the frames before the first one, so that a single reading is not enough."""


class Known:
    """A plate that was read in one of the last frames.

    Args:
        quad: where it was read.
        seconds: monotonic time of that frame.
    """

    def __init__(self, quad: Quad, seconds: float) -> None:
        self.quad = quad
        self._seconds = seconds
        self._speed = np.zeros(2, np.float32)
        self._growth = 0.0
        self._readings = deque([*_BEFORE, True], _RECENT)

    @property
    def is_legible(self) -> bool:
        """Whether enough of the recent frames read it."""
        return sum(self._readings) >= _LEGIBLE * len(self._readings)

    def miss(self) -> None:
        """Note that a frame in which it was looked for did not read it."""
        self._readings.append(False)

    def see(self, quad: Quad, seconds: float) -> None:
        """Take where it was read in a later frame."""
        gap = seconds - self._seconds
        if gap > 0:
            # Windows around one plate differ a little, so a single step is not its speed.
            self._speed += ((quad.mean(axis=0) - self.quad.mean(axis=0)) / gap - self._speed) / 2
            growth = math.log(Place.of(quad).width / Place.of(self.quad).width) / gap
            self._growth += (min(max(growth, -_FASTEST_GROWTH), _FASTEST_GROWTH) - self._growth) / 2
        self.quad, self._seconds = quad, seconds
        self._readings.append(True)

    def expected(self, seconds: float) -> Quad:
        """Return where it is expected if it goes on as before."""
        gap = min(max(seconds - self._seconds, 0.0), _LONGEST)
        centre: npt.NDArray[np.float32] = self.quad.mean(axis=0)
        quad: Quad = (self.quad - centre) * np.float32(math.exp(self._growth * gap)) + centre + self._speed * gap
        return quad.astype(np.float32)

    def is_lost(self, seconds: float) -> bool:
        """Return whether it was read too long ago."""
        return seconds - self._seconds > _KEPT
