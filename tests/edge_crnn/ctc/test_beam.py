from __future__ import annotations

from itertools import groupby, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.errors import InputError

Floats = npt.NDArray[np.float64]


def sharp(seed: int, images: int = 6, steps: int = 20, classes: int = 12, sharpness: float = 2.5) -> Floats:
    powers = np.exp(np.random.default_rng(seed).normal(size=(images, steps, classes)) * sharpness)
    rows: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return rows


@st.composite
def small(draw: st.DrawFn) -> tuple[Floats, int]:
    """Probabilities (N, T, C) small enough to enumerate all alignments, some of them 0, and a blank."""
    images = draw(st.integers(1, 3))
    steps = draw(st.integers(1, 5))
    classes = draw(st.integers(2, 3))
    count = images * steps * classes
    weights = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    rows = np.array(weights, np.float64).reshape(images, steps, classes)
    rows[rows.sum(axis=-1) == 0] = 1.0
    return rows / rows.sum(axis=-1, keepdims=True), draw(st.integers(0, classes - 1))


def alignments(rows: Floats, blank: int) -> dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]]:
    """Return the possible label sequences with their alignments, and the probabilities of these."""
    paths: dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]] = {}
    for path in product(range(rows.shape[1]), repeat=len(rows)):
        chance = float(np.prod([row[index] for row, index in zip(rows, path, strict=True)]))
        if chance > 0:
            paths.setdefault(tuple(index for index, _ in groupby(path) if index != blank), []).append((chance, path))
    return paths


@given(small())
def test_a_wide_beam_finds_every_sequence_with_its_exact_posterior(batch: tuple[Floats, int]) -> None:
    rows, blank = batch
    results = ctc.beam(rows, blank, width=100, n_best=100, min_ratio=0, top_k=None)
    for image, result in zip(rows, results, strict=True):
        expected = {
            sequence: sum(chance for chance, _ in paths) for sequence, paths in alignments(image, blank).items()
        }
        assert {reading.indices: reading.confidence for reading in result} == pytest.approx(expected, rel=1e-12)
        confidences = [reading.confidence for reading in result]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) == pytest.approx(1.0)


@given(small())
def test_spans_are_those_of_a_most_probable_alignment(batch: tuple[Floats, int]) -> None:
    rows, blank = batch
    for image, result in zip(rows, ctc.beam(rows, blank, width=100, n_best=100, min_ratio=0, top_k=None), strict=True):
        paths = alignments(image, blank)
        for reading in result:
            path = [blank] * len(image)
            for index, (start, end) in zip(reading.indices, reading.spans, strict=True):
                assert start < end
                path[start:end] = [index] * (end - start)
            assert tuple(index for index, _ in groupby(path) if index != blank) == reading.indices
            chance = np.prod([row[index] for row, index in zip(image, path, strict=True)])
            assert chance == pytest.approx(max(chance for chance, _ in paths[reading.indices]), rel=1e-12)
            pairs = zip(reading.indices, reading.spans, strict=True)
            peaks = [image[start:end, index].max() for index, (start, end) in pairs]
            assert reading.confidences == pytest.approx(peaks)


def slow_search(rows: Floats, blank: int, width: int) -> set[tuple[int, ...]]:
    """Hannun 2014, figure 2, without a language model: the prefixes in the beam after the last step."""
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}  # prefix → ending in blank, in its label
    for row in rows:
        grown: dict[tuple[int, ...], list[float]] = {}
        for prefix, (ending_blank, ending_label) in beam.items():
            grown.setdefault(prefix, [0.0, 0.0])[0] += (ending_blank + ending_label) * row[blank]
            for index, chance in enumerate(row):
                if index == blank:
                    continue
                if prefix[-1:] == (index,):
                    grown[prefix][1] += ending_label * chance
                    ways = ending_blank
                else:
                    ways = ending_blank + ending_label
                grown.setdefault((*prefix, index), [0.0, 0.0])[1] += ways * chance
        best = sorted(grown, key=lambda prefix: -sum(grown[prefix]))[:width]
        beam = {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in best}
    return set(beam)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(0.0, 3.0))
def test_it_keeps_the_prefixes_of_the_textbook_search(seed: int, width: int, sharpness: float) -> None:
    rows = sharp(seed, images=2, steps=12, classes=4, sharpness=0.1 + sharpness)
    for image, result in zip(rows, ctc.beam(rows, 1, width=width, n_best=width, min_ratio=0, top_k=None), strict=True):
        assert {reading.indices for reading in result} == slow_search(image, 1, width)


@given(small(), st.integers(1, 6))
def test_any_beam_is_honest(batch: tuple[Floats, int], width: int) -> None:
    rows, blank = batch
    best = [readings[0].confidence for readings in ctc.beam(rows, blank, width=100, min_ratio=0, top_k=None)]
    for image, top, result in zip(rows, best, ctc.beam(rows, blank, width=width, n_best=width), strict=True):
        assert 1 <= len(result) <= width
        assert len({reading.indices for reading in result}) == len(result)
        assert sum(reading.confidence for reading in result) <= 1 + 1e-12
        assert result[0].confidence <= top
        for reading in result:
            assert reading.confidence == ctc.posterior(image[np.newaxis], [reading.indices], blank)[0]


@given(small(), st.integers(1, 6), st.integers(0, 4))
def test_a_batch_decodes_as_its_singles(batch: tuple[Floats, int], width: int, skip_steps: int) -> None:
    rows, blank = batch
    skip_steps = min(skip_steps, rows.shape[1] - 1)
    singles = [ctc.beam(image[np.newaxis], blank, skip_steps, width=width, n_best=width)[0] for image in rows]
    assert ctc.beam(rows, blank, skip_steps, width=width, n_best=width) == singles


@pytest.mark.parametrize("seed", range(5))
def test_a_larger_batch_decodes_as_its_singles(seed: int) -> None:
    rows = sharp(seed, sharpness=seed + 1.0)
    singles = [ctc.beam(image[np.newaxis], 3, 2, n_best=4)[0] for image in rows]
    assert ctc.beam(rows, 3, 2, n_best=4) == singles


@pytest.mark.parametrize("seed", range(5))
def test_wider_beams_find_nothing_worse(seed: int) -> None:
    rows = sharp(seed)
    best = [[readings[0].confidence for readings in ctc.beam(rows, 0, width=width)] for width in (1, 2, 5, 10, 50)]
    assert (np.diff(best, axis=0) >= 0).all()
    greedy = [reading.confidence for reading in ctc.greedy(rows, 0)]
    assert (np.array(best[-1]) >= greedy).all()
    assert (np.array(best[-1]) > greedy).any()


@pytest.mark.parametrize("seed", range(5))
def test_the_default_pruning_changes_no_result_worth_having(seed: int) -> None:
    rows = sharp(seed, sharpness=4.0)
    assert ctc.beam(rows, 0, n_best=3) == ctc.beam(rows, 0, n_best=3, min_ratio=0, top_k=None)


@given(small(), st.integers(1, 6))
def test_labels_and_scores_alone_are_the_same(batch: tuple[Floats, int], width: int) -> None:
    rows, blank = batch
    for full, scored in zip(
        ctc.beam(rows, blank, width=width, n_best=width),
        ctc.search(rows, blank, width=width, n_best=width),
        strict=True,
    ):
        assert [reading.indices for reading in scored] == [reading.indices for reading in full]
        assert np.exp([reading.log_probability for reading in scored]).tolist() == pytest.approx(
            [reading.confidence for reading in full]
        )


def test_a_posterior_too_small_to_tell_has_no_logarithm() -> None:
    ((reading,),) = ctc.search(np.full((1, 600, 300), 1 / 300), 299, width=2, top_k=1, min_ratio=1)
    assert reading.log_probability == -np.inf


def test_only_the_most_probable_symbols_start_a_character() -> None:
    rows = np.array([[[0.3, 0.2, 0.2, 0.1, 0.2]] * 3])
    readings = ctc.beam(rows, blank=4, width=1000, n_best=1000, top_k=1)[0]
    assert {index for reading in readings for index in reading.indices} == {0}
    readings = ctc.beam(rows, blank=4, width=1000, n_best=1000, top_k=2)[0]
    assert {index for reading in readings for index in reading.indices} == {0, 1, 2}  # 1 and 2 are as probable
    readings = ctc.beam(rows, blank=4, width=1000, n_best=1000, top_k=4)[0]
    assert readings == ctc.beam(rows, blank=4, width=1000, n_best=1000, top_k=None)[0]


def test_the_beam_sums_alignments_and_the_best_path_does_not() -> None:
    rows = np.array([[[0.4, 0.6], [0.4, 0.6]]])
    assert ctc.greedy(rows, blank=1)[0].indices == ()
    ((best, second),) = ctc.beam(rows, blank=1, n_best=2)
    assert (best.indices, second.indices) == ((0,), ())
    assert (best.confidence, second.confidence) == pytest.approx((0.64, 0.36))


def test_spans_count_the_skipped_steps() -> None:
    rows = np.full((1, 6, 3), 0.05)
    rows[0, np.arange(6), [0, 0, 2, 0, 2, 1]] = 0.9
    ((reading,),) = ctc.beam(rows, blank=2, skip_steps=2)
    assert reading.indices == (0, 1)
    assert reading.spans == ((3, 4), (5, 6))
    assert reading.confidences == pytest.approx((0.9, 0.9))


def test_sharp_output_gives_the_spans_of_the_best_path() -> None:
    rows = sharp(0, images=20, sharpness=8.0)
    for best_path, (reading,) in zip(ctc.greedy(rows, 4, 1), ctc.beam(rows, 4, 1), strict=True):
        if reading.indices == best_path.indices:
            assert reading == best_path


def test_a_prefix_that_left_the_beam_and_came_back_is_one_prefix() -> None:
    for seed in range(30):
        rows = sharp(seed, images=2, steps=12, classes=4, sharpness=1.0)
        for result in ctc.beam(rows, 1, width=3, n_best=3):
            assert len({reading.indices for reading in result}) == len(result) == 3


def test_a_long_flat_line_does_not_underflow() -> None:
    rows = np.full((1, 500, 300), 1 / 300)
    rows[0, -3:] = np.eye(300)[[7, 299, 7]]
    ((reading,),) = ctc.beam(rows, 299, width=3)
    assert reading.confidence < 1e-200
    assert reading.indices[-2:] == (7, 7)


def test_more_is_asked_than_there_is() -> None:
    ((reading,),) = ctc.beam(np.eye(2)[[1, 0, 1]][np.newaxis], blank=1, n_best=5)
    assert reading == ctc.Decoded((0,), 1.0, (1.0,), ((1, 2),))


def test_no_image_gives_no_result() -> None:
    assert ctc.beam(np.zeros((0, 5, 3), np.float32), blank=2) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0, expected a whole number from 1"),
        ({"n_best": 0}, "n_best is 0, expected a whole number from 1 to 10"),
        ({"width": 3, "n_best": 4}, "n_best is 4, expected a whole number from 1 to 3, the width"),
        ({"min_ratio": -0.1}, "min_ratio is -0.1"),
        ({"min_ratio": float("nan")}, "min_ratio is nan"),
        ({"top_k": 0}, "top_k is 0, expected a whole number from 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ctc.beam(np.full((1, 3, 4), 0.25), 0, **options)
