from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.alphabet import PLATES, Alphabet
from edge_crnn.dataset import load_labelled
from edge_crnn.model.spec import InputSpec
from edge_crnn.training.batches import Batch, Folders, Pixels, Source, batches, make_batch, prepared
from edge_crnn.training.drawn import Mixture, WithNegatives
from edge_crnn.training.folder import Drawing
from edge_crnn.training.fonts import find_fonts, find_line_fonts

SPEC = InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0)


@dataclass(frozen=True)
class Numbered:
    """Image i is of level i."""

    longest: int = 3
    seen: list[int] = field(default_factory=list)

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """Check nothing: the labels are short."""

    def sample(self, index: int) -> tuple[Pixels, str]:
        self.seen.append(index)
        return np.full((4, 4, 3), index % 256, np.uint8), str(index)


def first(source: Source, count: int, start: int = 0, workers: int = 0) -> list[Batch]:
    with batches(source, SPEC, 3, start, workers) as coming:
        return list(islice(coming, count))


def same(left: list[Batch], right: list[Batch]) -> bool:
    return [batch.labels for batch in left] == [batch.labels for batch in right] and all(
        np.array_equal(a.images, b.images) for a, b in zip(left, right, strict=True)
    )


def test_batches_follow_one_another() -> None:
    assert [batch.labels for batch in first(Numbered(), 3)] == [("0", "1", "2"), ("3", "4", "5"), ("6", "7", "8")]


def test_a_batch_is_preprocessed_images() -> None:
    batch = make_batch(Numbered(), SPEC, 3, 1)
    assert batch.images.shape == (3, 32, 16, 1)
    assert batch.images.dtype == np.float32
    assert np.allclose(batch.images[:, 0, 0, 0], np.array([3, 4, 5]) / 127.5 - 1)


def test_without_workers_batches_are_made_on_demand() -> None:
    source = Numbered()
    first(source, 2)
    assert source.seen == list(range(6))


def test_workers_give_the_same_batches() -> None:
    fonts = tuple(find_line_fonts()[:2])
    source = Mixture(tuple(Drawing("lines", 5, preset, fonts) for preset in ("mild", "none")))
    assert same(first(source, 3, start=2, workers=2), first(source, 5)[2:])


@pytest.mark.thorough
def test_workers_prepare_anything_in_order() -> None:
    for workers in (0, 2):
        with prepared(partial(pow, 3), 5, workers) as coming:
            assert list(islice(coming, 12)) == [3**index for index in range(5, 17)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import cv2

    for label in range(10, 17):
        cv2.imwrite(str(tmp_path / f"{label}.png"), np.full((8, 20, 3), label, np.uint8))
    return tmp_path


def test_every_round_reads_the_whole_folder_in_another_order(folder: Path) -> None:
    source = Folders((load_labelled(folder, Alphabet(tuple("0123456789"), 10)),), seed=1)
    assert (len(source), source.longest) == (7, 2)
    turns = [[source.sample(turn * 7 + place)[1] for place in range(7)] for turn in range(4)]
    assert all(sorted(turn) == [str(label) for label in range(10, 17)] for turn in turns)
    assert len({tuple(turn) for turn in turns}) == 4
    image, label = source.sample(11)
    assert image.shape == (8, 20, 3)
    assert (image == int(label)).all()


def test_another_seed_is_another_order(folder: Path) -> None:
    dataset = load_labelled(folder, Alphabet(tuple("0123456789"), 10))
    orders = {tuple(Folders((dataset,), seed).sample(place)[1] for place in range(7)) for seed in range(5)}
    assert len(orders) == 5


def test_a_mixture_takes_its_runs_in_turn() -> None:
    fonts = tuple(find_fonts()[:1])
    runs = Drawing("plates", 3, "none", fonts), Drawing("lines", 4, "mild", fonts, length=(2, 12))
    source = Mixture(runs)
    assert source.longest == 12
    assert Mixture(runs[:1]).longest == 10
    assert Mixture((Drawing("plates", 3, "none", fonts, chosen=("first-five",)),)).longest == 9
    pictures = [list(run.render(3)) for run in runs]
    for index in (0, 1, 4, 5, 2, 3, 3):
        image, label = source.sample(index)
        expected = pictures[index % 2][index // 2]
        assert label == expected.label
        assert np.array_equal(image, expected.image)


def test_runs_start_with_different_forms() -> None:
    runs = tuple(Drawing("plates", seed, "none", tuple(find_fonts()[:1])) for seed in range(4))
    starts = [0, 4, 8, 12]  # of 17 forms
    labels = [Mixture(runs).sample(index)[1] for index in range(4)]
    assert labels == [next(run.render(1, start)).label for run, start in zip(runs, starts, strict=True)]


@dataclass(frozen=True)
class Nameless:
    """Image i is of width i + 1 and has no text."""

    longest: int = 0

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """Check nothing."""

    def sample(self, index: int) -> tuple[Pixels, str]:
        return np.zeros((1, index + 1, 3), np.uint8), ""


@given(st.floats(0, 0.9), st.integers(0, 200))
def test_negatives_are_spread_evenly_and_no_image_is_left_out(share: float, count: int) -> None:
    source = WithNegatives(Numbered(), Nameless(), share)
    images = [source.sample(index) for index in range(count)]
    positives = [int(label) for _, label in images if label]
    negatives = [image.shape[1] - 1 for image, label in images if not label]
    assert positives == list(range(len(positives)))
    assert negatives == list(range(len(negatives)))
    for so_far in range(count):
        assert abs(sum(not label for _, label in images[:so_far]) - share * so_far) < 1


def test_negatives_have_no_label_and_take_no_step() -> None:
    fonts = tuple(find_fonts()[:1])
    plates, negatives = (
        Mixture((Drawing("plates", 3, "none", fonts, chosen=(group,)),)) for group in ("all-forms", "negatives")
    )
    source = WithNegatives(plates, negatives, 0.5)
    assert source.longest == 10
    source.require_steps(PLATES, 30)
    labels = make_batch(source, SPEC, 6, 3).labels
    assert [bool(label) for label in labels] == [True, False] * 3
    assert negatives.longest == 0
    negatives.require_steps(PLATES, 1)
