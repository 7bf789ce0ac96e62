from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.alphabet import Alphabet
from edge_crnn.errors import AlphabetError, DatasetError
from edge_crnn.training.fonts import find_line_fonts
from edge_crnn.training.lines import LEAST_ASPECT, Line, LineRenderer, generate_lines


@pytest.fixture(scope="module")
def renderer() -> LineRenderer:
    return LineRenderer()


def digest(lines: list[Line]) -> str:
    parts = (part for line in lines for part in (line.label, line.kind, str(line.image.shape)))
    return hashlib.sha256("".join(parts).encode() + b"".join(line.image.tobytes() for line in lines)).hexdigest()


@pytest.mark.parametrize("preset", ["none", "mild", "heavy", "training"])
def test_the_same_seed_draws_the_same_bytes(renderer: LineRenderer, preset: str):
    first = digest(list(generate_lines(10, 4, preset, renderer=renderer)))
    assert digest(list(generate_lines(10, 4, preset, renderer=LineRenderer()))) == first
    assert digest(list(generate_lines(10, 5, preset, renderer=renderer))) != first


def test_a_line_depends_on_seed_and_index_alone(renderer: LineRenderer):
    run = list(generate_lines(23, 4, "heavy", renderer=renderer))
    assert digest(list(generate_lines(7, 4, "heavy", start=16, renderer=renderer))) == digest(run[16:])


def test_the_preset_changes_the_picture_and_not_the_label(renderer: LineRenderer):
    lines = [next(generate_lines(1, 9, preset, renderer=renderer)) for preset in ("none", "mild", "heavy")]
    assert len({(line.label, line.kind) for line in lines}) == 1
    assert len({line.image.tobytes() for line in lines}) == 3


def test_labels_are_even_over_lengths_digits_and_fonts(renderer: LineRenderer):
    lines = list(generate_lines(600, 1, "none", renderer=renderer))
    lengths = Counter(len(line.label) for line in lines)
    digits = Counter("".join(line.label for line in lines))
    assert sorted(lengths) == list(range(1, 11))
    assert sorted(digits) == list("0123456789")
    assert {line.kind for line in lines} == {font.name for font in find_line_fonts()}
    for counts in (lengths, digits):
        assert max(counts.values()) < 1.5 * sum(counts.values()) / len(counts)
        assert min(counts.values()) > 0.5 * sum(counts.values()) / len(counts)


def test_lines_are_colour_images_no_narrower_than_a_detector_s_box(renderer: LineRenderer):
    for line in generate_lines(50, 2, "none", renderer=renderer):
        height, width, channels = line.image.shape
        assert (line.image.dtype, channels) == (np.uint8, 3)
        assert width > (LEAST_ASPECT[0] - 0.05) * height


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.tuples(st.integers(1, 12), st.integers(0, 5)))
def test_every_label_is_one_of_the_alphabet_and_of_a_wanted_length(seed: int, bounds: tuple[int, int]):
    symbols = '0A;é"9'
    length = bounds[0], sum(bounds)
    label = LineRenderer(find_line_fonts()[:1], symbols, length).render(seed, "none").label
    alphabet = Alphabet(tuple(symbols), len(symbols))
    assert length[0] <= len(label) <= length[1]
    assert alphabet.spell(alphabet.encode(label)) == alphabet.label(alphabet.read(label)) == label


def test_both_polarities_are_drawn(renderer: LineRenderer):
    """The edge of the box is ground; the ink differs from it one way or the other."""
    lines = [renderer.render(seed, "none", "0000") for seed in range(60)]
    grounds = [np.median(line.image.mean(axis=2)[0]) for line in lines]
    inks = [
        max(line.image.mean(axis=2).ravel(), key=lambda level: abs(level - ground))
        for line, ground in zip(lines, grounds, strict=True)
    ]
    lighter = sum(ink > ground for ink, ground in zip(inks, grounds, strict=True))
    assert 15 < lighter < 45


def test_each_letter_shows_in_its_place(renderer: LineRenderer):
    """Changing the last letter of a monospaced line changes its right end only."""
    fonts = [font for font in find_line_fonts() if font.name == "DejaVuSansMono.ttf"]
    mono = LineRenderer(fonts)
    for seed in range(5):
        first, two = (mono.render(seed, "none", label).image.astype(int) for label in ("8888888888", "8888888880"))
        columns = np.flatnonzero((abs(first - two).sum(axis=2) > 60).any(axis=0))
        assert len(columns) > 0
        assert columns.min() > first.shape[1] / 2


def test_another_alphabet_and_length():
    renderer = LineRenderer(find_line_fonts()[3:], alphabet="Aßy", length=(3, 3))
    labels = "".join(line.label for line in generate_lines(60, 1, "none", renderer=renderer))
    assert set(labels) == set("Aßy")
    assert len(labels) == 180


def test_a_font_that_lacks_a_letter_is_refused():
    with pytest.raises(DatasetError, match=r"DejaVuSans\.ttf: has no glyph for 가: use fonts that have all"):
        LineRenderer(find_line_fonts()[3:], alphabet="0가")


@pytest.mark.parametrize("alphabet", ["", "00", "0 1", "0\n", "e\u0301", "\u212b"])
def test_an_alphabet_that_cannot_be_read_back_is_refused(alphabet: str):
    with pytest.raises(AlphabetError, match="expected letters, each once, and no white space or"):
        LineRenderer(alphabet=alphabet)


@pytest.mark.parametrize("length", [(0, 3), (4, 3)])
def test_impossible_lengths_are_refused(length: tuple[int, int]):
    with pytest.raises(ValueError, match="expected the fewest letters, at least 1, and the most"):
        LineRenderer(length=length)


def test_no_fonts_are_refused():
    with pytest.raises(DatasetError, match="no fonts: give at least one"):
        LineRenderer([])


@pytest.mark.parametrize("label", ["", "12a", "1 2"])
def test_a_label_outside_the_alphabet_is_refused(renderer: LineRenderer, label: str):
    with pytest.raises(AlphabetError, match="expected one or more letters of 0123456789"):
        renderer.render(1, "none", label)
