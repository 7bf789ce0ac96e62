"""Checks that a grammar, a lexicon or a prior was made for the network whose output is decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError


class MadeFor(NamedTuple):
    """The network for which a grammar, a lexicon or a prior was made."""

    name: str
    """Name of the knowledge in messages."""
    classes: int
    blank: int
    shortest: int = 0
    """Time steps that the shortest label takes."""


class Knowledge(ABC):
    """The knowledge about labels that a grammar, a lexicon or a prior holds."""

    @property
    @abstractmethod
    def made_for(self) -> MadeFor:
        """The network whose class indices it uses."""

    def check_fits(self, classes: int, blank: int, steps: npt.ArrayLike = ()) -> None:
        """Check that the knowledge can be used on the output of a network.

        Args:
            classes: classes of the network, the blank among them.
            blank: class index of the network's blank.
            steps: (N,) int; time steps to decode in each image.

        Raises:
            InputError: the knowledge was made for other classes, or an image is too short for every label.
        """
        expected = self.made_for
        if (classes, blank) != (expected.classes, expected.blank):
            raise InputError(
                f"{expected.name} is for {expected.classes} classes with blank {expected.blank}, found {classes} with "
                f"blank {blank}: make it with the network's alphabet"
            )
        counts = np.asarray(steps)
        if counts.size and counts.min() < expected.shortest:
            raise InputError(
                f"{expected.name} needs {expected.shortest} time steps for its shortest label, image "
                f"{counts.argmin()} has {counts.min()}: allow shorter labels, or use a network with more steps"
            )
