"""The rows that tables of labels have in common, and the names of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

IMAGE_NAMES = ("image", "filename", "file_name", "file", "path")
LABEL_NAMES = ("label", "text", "words", "identity")


class Row(NamedTuple):
    """An image and its label."""

    place: str
    """Place in the table, for a message."""
    image: str
    """Path of the image, relative to the folder of images."""
    label: str


def columns(names: Sequence[str]) -> tuple[int, int] | None:
    """Find the image and the label among names of columns, in any case; None unless both occur exactly once."""
    folded = [name.strip().casefold() for name in names]
    images = [place for place, name in enumerate(folded) if name in IMAGE_NAMES]
    labels = [place for place, name in enumerate(folded) if name in LABEL_NAMES]
    return (images[0], labels[0]) if len(images) == len(labels) == 1 else None


EXPECTED = f"one of {', '.join(IMAGE_NAMES)} and one of {', '.join(LABEL_NAMES)}"
"""The names that `columns` looks for."""
