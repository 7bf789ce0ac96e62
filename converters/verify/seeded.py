"""Seeded images that stand in for missing ones: they show whether an artifact computes the same at all.

They are noise at several scales, gradients and strokes, as large as the network's canvas. They hold no text, so only
probabilities are compared; only images with text can show that an artifact reads the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_crnn.dataset import Dataset, Entry
from edge_crnn.errors import VerificationError
from edge_crnn.files import sha256
from edge_crnn.images import Pixels
from edge_crnn.model.spec import InputSpec, Parity

from ..recipe import Recipe
from .gate import Gate, Readings, Verification

_SEED = 20
_ROUNDS = 6
_CELLS_PX = (1, 2, 4, 8)
"""Sides of the cells of noise."""
_STROKES = 12


@dataclass(frozen=True, eq=False)
class ImageInMemory(Entry):
    """An image that is in no file."""

    pixels: Pixels

    def load(self) -> Pixels:
        """Return the image, (H, W, 3) uint8."""
        return self.pixels


class ImagesInMemory(Dataset):
    """Seeded images in place of those with text."""

    @property
    def digests(self) -> list[str]:
        """The SHA-256 of every image's pixels."""
        return [sha256(entry.load().tobytes()) for entry in self]


def seeded_images(image: InputSpec) -> ImagesInMemory:
    """Return three dozen seeded images, (height, width, 3) uint8, always the same for a canvas of the same size."""
    random = np.random.default_rng(_SEED)
    images = [pixels for _ in range(_ROUNDS) for pixels in _kinds(random, image.height, image.width)]
    entries = (ImageInMemory(Path(f"seeded image {number}"), "", pixels) for number, pixels in enumerate(images))
    return ImagesInMemory(Path("seeded images"), tuple(entries), labelled=False)


def _kinds(random: np.random.Generator, height: int, width: int) -> Iterator[Pixels]:
    """Yield an image of each kind, (height, width, 3) uint8."""
    for cell in _CELLS_PX:
        noise = random.integers(0, 256, (-(-height // cell), -(-width // cell), 3), np.uint8)
        yield noise.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    left, right, below = random.uniform(0, 255, (3, 3))
    across = columns[..., None] / width
    down = rows[..., None] / height
    yield np.asarray((left * (1 - across) + right * across) * (1 - down) + below * down).astype(np.uint8)
    paper, ink = random.integers(0, 256, (2, 3))
    inked = np.zeros((height, width), bool)
    for _ in range(_STROKES):
        x, y, angle = random.uniform(0, width), random.uniform(0, height), random.uniform(0, np.pi)
        along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
        inked |= (np.abs(along) < height / 3) & (np.abs(across) < height / 24 + 0.5)
    yield np.asarray(np.where(inked[..., None], ink, paper), np.uint8)


def compare_seeded(
    name: str, reference: Sequence[Readings], artifact: Sequence[Readings], recipe: Recipe, gate: Gate
) -> Verification:
    """Compare the probabilities of seeded images; the verdict is `unverified`.

    Args:
        name: name of the artifact.
        reference: the trained model's readings.
        artifact: the artifact's readings.
        recipe: the artifact's recipe, which limits how far probabilities may be from the trained model's.
        gate: the gate that images would have to meet; it is only recorded.

    Raises:
        VerificationError: the probabilities are further apart than that.
    """
    (theirs,), (ours,) = reference, artifact
    largest = float(np.abs(theirs.probabilities - ours.probabilities).max())
    if not largest <= recipe.largest_change:
        raise VerificationError(
            f"{name}: on seeded images its probabilities are up to {largest:.2g} from the trained model's, expected"
            f" at most {recipe.largest_change:g} for recipe {recipe.name}; try --recipe float32, or verify with images:"
            " --images DIR"
        )
    same = float(np.mean(np.array(theirs.labels) == np.array(ours.labels)))
    parity = Parity(
        verdict="unverified",
        gate_agreement=gate.agreement,
        gate_accuracy=gate.accuracy,
        agreement=same,
        agreement_interval=(0.0, 1.0),
        agreement_shown=0.0,
        accuracy_change=None,
        accuracy_change_interval=None,
        mcnemar_p=None,
        max_probability_change=largest,
        sets=(),
    )
    return Verification(parity, (), ())
