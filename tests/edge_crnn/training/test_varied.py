from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from edge_crnn.alphabet import PLATES, Alphabet
from edge_crnn.errors import DatasetError
from edge_crnn.training.batches import Pixels
from edge_crnn.training.varied import Varied


@dataclass(frozen=True)
class Photographs:
    """Image i is noise of the seed i."""

    longest: int = 7

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        if steps < self.longest:
            raise DatasetError("too few steps")

    def sample(self, index: int) -> tuple[Pixels, str]:
        return np.random.default_rng(index).integers(0, 256, (24, 60, 3), np.uint8), str(index)


def test_about_half_of_the_images_are_changed_and_all_keep_their_labels() -> None:
    source = Varied(Photographs(), 1)
    samples = [source.sample(index) for index in range(200)]
    assert [label for _, label in samples] == [str(index) for index in range(200)]
    changed = [not np.array_equal(image, Photographs().sample(index)[0]) for index, (image, _) in enumerate(samples)]
    assert 70 < sum(changed) < 130


def test_an_image_depends_on_its_number_and_the_seed() -> None:
    source = Varied(Photographs(), 1)
    first = [source.sample(index)[0] for index in range(10)]
    copy = pickle.loads(pickle.dumps(source))
    again = [copy.sample(index)[0] for index in reversed(range(10))][::-1]
    assert all(np.array_equal(image, same) for image, same in zip(first, again, strict=True))
    other = [Varied(Photographs(), 2).sample(index)[0] for index in range(10)]
    assert not all(np.array_equal(image, another) for image, another in zip(first, other, strict=True))


def test_the_labels_are_those_of_the_source() -> None:
    source = Varied(Photographs(), 1)
    assert source.longest == 7
    source.require_steps(PLATES, 7)
    with pytest.raises(DatasetError, match="too few steps"):
        source.require_steps(PLATES, 6)
