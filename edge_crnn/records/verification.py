"""The record of `edge-crnn convert` and `verify`: verdicts, and the images behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..model.spec import Parity, Teacher
from .form import MAX_IMAGES, is_possible

_DATA_URI = re.compile(r"data:image/(png|jpeg|webp|bmp);base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)


@dataclass(frozen=True)
class SymbolErrors:
    """The symbol errors on one labelled folder: the fewest symbols to replace, insert or delete to get the labels."""

    symbols: int
    """Symbols of all labels."""
    reference: int
    """Changes that the trained model's texts need."""
    artifact: int
    """Changes that the artifact's texts need."""


@dataclass(frozen=True)
class Confusion:
    """A symbol that is read as another; an empty string stands for no symbol."""

    truth: str
    read: str
    reference: int
    """Number of times that the trained model confuses them."""
    artifact: int
    """Number of times that the artifact confuses them."""


@dataclass(frozen=True)
class Detail:
    """The differences between an artifact and the trained model on labelled folders."""

    errors: tuple[SymbolErrors, ...]
    """Errors on each folder, in the order of the parity's sets."""
    confusions: tuple[Confusion, ...]
    """Confusions that occur more or less often than with the trained model, the most changed first."""
    mean_probability_change: float
    """Mean |Δp| over all images, steps and classes."""
    mean_confidence_change: float
    """Mean confidence of the artifact's readings minus that of the trained model's."""
    reference_calibration_error: float
    """Expected calibration error of the trained model's posteriors, nothing fitted; see `edge_crnn.calibration`."""
    calibration_error: float
    """Expected calibration error of the artifact's posteriors."""

    def is_possible(self) -> bool:
        """Return whether the counts can be true."""
        return sum(folder.symbols for folder in self.errors) > 0 and all(
            0 <= count <= MAX_IMAGES
            for folder in self.errors
            for count in (folder.symbols, folder.reference, folder.artifact)
        )


@dataclass(frozen=True)
class ReadText:
    """The text that a model reads in an image."""

    text: str
    right: bool


@dataclass(frozen=True)
class ReadImage:
    """An image, and the texts that were read in it."""

    image: str
    """File name."""
    set: str
    """Folder."""
    truth: str | None
    """None: the image has no label, and the text of the reference counts as correct."""
    reference: ReadText
    artifacts: Mapping[str, ReadText]
    """Name of an artifact → its text, for artifacts that read another text than the reference."""
    picture: str = ""
    """Data URI of the image."""


@dataclass(frozen=True)
class Verified:
    """The comparison of an artifact with the trained model."""

    name: str
    recipe: str
    format: str
    bytes: int
    payload_sha256: str
    parity: Parity
    detail: Detail | None = None
    """None: no folder has labels."""
    teacher: Teacher | None = None
    """Set if the artifact's network was slimmed from the trained model."""


@dataclass(frozen=True)
class Verification:
    """The comparison of several artifacts with their trained model, on the same images."""

    SUITE: ClassVar[str] = "edge-crnn verify"
    VERSION: ClassVar[int] = 1

    artifacts: tuple[Verified, ...]
    changed: int
    """Number of images that at least one artifact reads differently from the reference."""
    changes: tuple[ReadImage, ...]
    """These images, or the first of them."""
    sample: tuple[ReadImage, ...]
    """Some of the images that all artifacts read like the reference."""

    def is_possible(self) -> bool:
        """Return whether the counts can be true and the images can be shown safely."""
        return (
            bool(self.artifacts)
            and all(is_possible(artifact.parity) for artifact in self.artifacts)
            and all(artifact.detail.is_possible() for artifact in self.artifacts if artifact.detail is not None)
            and all(not image.picture or _DATA_URI.fullmatch(image.picture) for image in (*self.changes, *self.sample))
        )
