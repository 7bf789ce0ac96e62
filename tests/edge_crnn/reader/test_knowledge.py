"""A reader with a lexicon, with a prior, and with several images of one text."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edge_crnn import (
    DecoderSpec,
    FakeBackend,
    FusedReading,
    ImageError,
    InputError,
    InputSpec,
    ModelSpec,
    OutputSpec,
    Reader,
    ctc,
)
from edge_crnn.ctc import Lexicon, Prior

SPEC = ModelSpec(
    "fake", tuple("abc"), 3, InputSpec(2, 2, "HWC", 1.0, 0.0), OutputSpec(4, 4), label_map={"a": "에이 ", "c": " 씨"}
)
BLACK = np.zeros((2, 2), np.uint8)
BLANK = (0.0, 0.0, 0.0, 1.0)
NEARLY = np.array([[(0.6, 0.3, 0, 0.1), BLANK, (0, 0.9, 0, 0.1), BLANK]], np.float32)
"""The network reads ab 0.54, bb 0.27, b 0.12, a 0.06, the empty text 0.01, and nothing else."""


def reader_of(probabilities: np.ndarray, spec: ModelSpec = SPEC, **options: object) -> Reader:
    return Reader(spec, lambda: FakeBackend(probabilities, spec.input.shape), **options)  # type: ignore[arg-type]


def lexicon(*labels: str, **options: float) -> Lexicon:
    return Lexicon.parse(labels, SPEC.alphabet, **options)


def test_only_known_texts_are_read() -> None:
    reader = reader_of(NEARLY, lexicon=lexicon("bb", "a", "cc"), n_best=5)
    assert reader.spec.decoder.method == "beam"
    reading = reader.read(BLACK)
    assert (reading.label, reading.confidence) == ("bb", pytest.approx(0.27))
    assert (reading.weighted, reading.rescued) == (pytest.approx(0.27), False)
    assert [(alternative.label, alternative.weighted) for alternative in reading.alternatives] == [
        ("a", pytest.approx(0.06))
    ]
    assert reader_of(NEARLY, lexicon=lexicon("cc")).read(BLACK).label == ""


@pytest.mark.parametrize(("threshold", "accepted"), [(0.5, True), (0.9, False)])
def test_known_text_weighs_more_and_is_accepted_by_its_weight(threshold: float, accepted: bool) -> None:
    reader = reader_of(NEARLY, decoder=DecoderSpec(reject_below=threshold), lexicon=lexicon("bb", weight=10))
    reading = reader.read(BLACK)
    assert (reading.label, reading.confidence) == ("bb", pytest.approx(0.27))
    assert reading.weighted == pytest.approx(2.7 / (2.7 + 0.73))
    assert reading.accepted is accepted


def test_a_reading_says_that_it_was_rescued() -> None:
    reader = reader_of(NEARLY, lexicon=lexicon("ac", weight=100, rescue=0.1), decoder=DecoderSpec(reject_below=0.5))
    reading = reader.read(BLACK)
    assert (reading.text, reading.label, reading.confidence) == ("에이  씨", "ac", 0.0)
    assert reading.rescued
    assert reading.accepted
    assert reading.weighted == pytest.approx(5.4 / 6.4)
    assert [character.symbol for character in reading.characters] == ["a", "c"]


def test_a_prior_weighs() -> None:
    prior = Prior.fit([SPEC.alphabet.encode(label) for label in ["bb"] * 20], SPEC.alphabet)
    reading = reader_of(NEARLY, prior=prior).read(BLACK)
    assert (reading.label, reading.confidence) == ("bb", pytest.approx(0.27))
    assert reading.confidence < reading.weighted < 1
    assert reader_of(NEARLY).read(BLACK).weighted is None


def test_knowledge_for_another_network_is_refused() -> None:
    other = replace(SPEC, symbols=tuple("abcd"), output=OutputSpec(4, 5), blank=4)
    with pytest.raises(InputError, match="the lexicon is for 4 classes with blank 3, found 5 with blank 4"):
        reader_of(NEARLY, other, lexicon=lexicon("ab"))
    with pytest.raises(InputError, match="the prior is for 4 classes"):
        reader_of(NEARLY, other, prior=Prior.fit([(0,)], SPEC.alphabet))
    with pytest.raises(InputError, match=r"'abcab', which needs 5 time steps, but the network has 4; remove"):
        reader_of(NEARLY, lexicon=lexicon("abcab", "ab"))
    with pytest.raises(InputError, match="'aaa', which needs 5 time steps"):
        reader_of(NEARLY, lexicon=lexicon("ab", "aaa"))


def test_target_precision_is_refused_with_a_lexicon_or_prior() -> None:
    for knowledge in ({"lexicon": lexicon("ab")}, {"prior": Prior.fit([(0,)], SPEC.alphabet)}):
        with pytest.raises(InputError, match="a target precision does not hold with a lexicon or a prior"):
            reader_of(NEARLY, target_precision=0.9, **knowledge)


WRONG = (0.75, 0.23, 0.01, 0.01), BLANK, (0.0, 1.0, 0.0, 0.0), BLANK
RIGHT = (0.25, 0.73, 0.01, 0.01), BLANK, (0.0, 1.0, 0.0, 0.0), BLANK


class Looks(FakeBackend):
    """An engine whose output depends on the pixels: WRONG for black, RIGHT for white."""

    def infer(self, batch: np.ndarray) -> np.ndarray:
        rows: np.ndarray = np.array([RIGHT if image.max() > 0 else WRONG for image in batch], np.float32)
        return rows


def looks(**options: object) -> Reader:
    return Reader(SPEC, lambda: Looks(np.array([RIGHT]), SPEC.input.shape), **options)  # type: ignore[arg-type]


def test_several_images_of_one_text_are_one_reading() -> None:
    white = np.full((2, 2), 255, np.uint8)
    reader = looks(n_best=2)
    assert [single.label for single in reader.read_batch([BLACK, white])] == ["ab", "bb"]
    reading = reader.fuse([BLACK, white, white])
    rows = np.array([WRONG, RIGHT, RIGHT], np.float32)
    (best, second) = ctc.fuse(rows, 3, n_best=2)
    assert isinstance(reading, FusedReading)
    assert (reading.label, reading.images, reading.agreeing) == ("bb", 3, 2)
    assert reading.confidence == best.confidence
    assert [(alternative.label, alternative.confidence) for alternative in reading.alternatives] == [
        ("ab", second.confidence)
    ]
    assert [character.confidence for character in reading.characters] == pytest.approx([0.73, 1.0])
    assert reader.fuse_decoded(rows) == reading
    assert reader.fuse([BLACK, white], weights=[1, 0.1]).label == "ab"
    assert looks(decoder=DecoderSpec("beam", grammar="ab|c")).fuse([white, white]).label == "ab"
    assert looks(lexicon=lexicon("ab", weight=50)).fuse([BLACK, white]).weighted > 0.9
    many = [BLACK] + [white] * 70  # more than one call of the engine
    assert (reader.fuse(many).images, reader.fuse(many).agreeing) == (71, 70)


def test_one_image_fused_is_its_reading() -> None:
    reader = looks(n_best=3)
    alone = reader.read(BLACK)
    fused = reader.fuse([BLACK])
    assert (fused.label, fused.characters, fused.agreeing) == (alone.label, alone.characters, 1)
    assert fused.confidence == pytest.approx(alone.confidence)
    nothing = looks(decoder=DecoderSpec("beam", grammar="c")).fuse([BLACK, BLACK])
    assert nothing.label in ("", "c")
    assert math.isclose(nothing.confidence, 0.0, abs_tol=0.01)


def test_images_that_cannot_be_fused_are_refused() -> None:
    with pytest.raises(InputError, match="no image to fuse"):
        looks().fuse([])
    with pytest.raises(InputError, match="weights are"):
        looks().fuse([BLACK], weights=[0.5])
    with pytest.raises(ImageError):
        looks().fuse([BLACK, "no-such.png"])
    with pytest.raises(InputError, match="no image to fuse"):
        looks().fuse_decoded(np.zeros((0, 4, 4), np.float32))
