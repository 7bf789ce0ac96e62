"""The record of `benchmarks.accuracy`: artifacts compared with Keras on labelled folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..model.spec import Parity
from .form import is_possible
from .verification import Detail


@dataclass(frozen=True)
class Accuracy:
    """Verdicts by artifact and by folder."""

    SUITE: ClassVar[str] = "edge-crnn accuracy"
    VERSION: ClassVar[int] = 1

    recipes: Mapping[str, Mapping[str, Parity]]
    """Artifact (for a `.tflite`, its recipe) → folder → verdict."""
    details: Mapping[str, Mapping[str, Detail]] = field(default_factory=dict)
    """Artifact → folder → further figures beside the verdict."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Artifact that could not be made → reason."""

    def is_possible(self) -> bool:
        """Return whether the counts can be true."""
        return (
            bool(self.recipes)
            and all(self.recipes.values())
            and all(is_possible(parity) for folders in self.recipes.values() for parity in folders.values())
            and all(detail.is_possible() for folders in self.details.values() for detail in folders.values())
        )
