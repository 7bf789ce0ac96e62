"""A spec completed with what the model file says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.conventions.complete import complete, essential, filled
from converters.trained.facts import FileFacts, Scaling
from edge_crnn.errors import ModelSpecError
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec

FACTS = FileFacts(
    path=Path("plates.keras"), shape=(64, 32, 1), axes="WHC", steps=16, classes=11, parameters=0, multiplications=0,
    vocabulary=None, oov=0, mask=None, blank=None, scaling=None, softmax=False, head=None, layers=(), lambdas=(),
    notes=(), obstacles=(), missing=None, network=None,
)  # fmt: skip
DRAFT: dict[str, Any] = {"symbols": "0123456789", "blank": "last", "input": {"scale": 1.0}}


def test_size_axes_steps_and_classes_come_from_the_file() -> None:
    spec = complete(DRAFT, FACTS)
    assert spec == ModelSpec("plates", tuple("0123456789"), 10, InputSpec(64, 32, "WHC", 1.0, 0.0), OutputSpec(16, 11))


@pytest.mark.parametrize(
    ("rotate", "axes", "size"),
    [(0, "WHC", (64, 32)), (180, "WHC", (64, 32)), (90, "HWC", (64, 32)), (270, "HWC", (64, 32))],
)
def test_the_steps_run_along_the_width_of_the_upright_image(rotate: int, axes: str, size: tuple[int, int]) -> None:
    image = complete({**DRAFT, "input": {"scale": 1.0, "rotate": rotate}}, FACTS).input
    assert (image.axes, (image.width, image.height), image.shape) == (axes, size, (64, 32, 1))


def test_declared_axes_win() -> None:
    image = complete({**DRAFT, "input": {"scale": 1.0, "axes": "HWC"}}, FACTS).input
    assert (image.width, image.height, image.shape) == (32, 64, (64, 32, 1))


def test_everything_that_is_missing_is_named_at_once() -> None:
    facts = replace(FACTS, axes=None, shape=(64, 32, 3))
    with pytest.raises(ModelSpecError) as error:
        complete({}, facts)
    for option in ("--axes", "--colour", "--pixels", "--blank", "--alphabet", "edge-crnn spec plates.keras"):
        assert option in str(error.value)


@pytest.mark.parametrize(
    ("draft", "part"),
    [
        ({"output": {"steps": 15}}, "15 steps.*16"),
        ({"output": {"classes": 12}}, "12 classes.*11"),
        ({"input": {"scale": 1.0, "width": 32, "height": 64}}, "width 32.*(64, 32, 1)"),
        ({"symbols": "012"}, "3 symbols.*11.*--unused"),
        ({"blank": 11}, "class 11 of 11"),
        ({"unused": [11]}, "class 11 of 11"),
    ],
)
def test_a_contradiction_of_the_file_shows_both(draft: dict[str, Any], part: str) -> None:
    with pytest.raises(ModelSpecError, match=part):
        complete({**DRAFT, **draft}, FACTS)


def test_pixels_are_raw_where_the_network_scales_them() -> None:
    facts = replace(FACTS, scaling=Scaling((1 / 255,), (0.0,), ("rescaling",)))
    image = complete({"symbols": "0123456789", "blank": 10}, facts).input
    assert (image.scale, image.offset) == (1.0, 0.0)


def test_a_named_scale_must_not_contradict_a_number() -> None:
    with pytest.raises(ModelSpecError, match=r"scale 1\.0.*pixels x/255"):
        complete({**DRAFT, "input": {"scale": 1.0, "pixels": "x/255"}}, FACTS)
    assert complete({**DRAFT, "input": {"pixels": "x/255"}}, FACTS).input.scale == 1 / 255


# --- vocabularies ----------------------------------------------------------------------------------------------------

DIGITS = tuple("0123456789")


@pytest.mark.parametrize(
    ("vocabulary", "draft", "classes", "symbols", "blank", "unused"),
    [
        (DIGITS, {"blank": "last"}, 11, DIGITS, 10, ()),
        (DIGITS, {"blank": "first"}, 11, DIGITS, 0, ()),
        ((None, *DIGITS), {"blank": "last"}, 12, DIGITS, 11, (0,)),
        ((None, *DIGITS), {"blank": "first"}, 12, DIGITS, 0, (1,)),
        ((None, None, *DIGITS), {"blank": "last"}, 13, DIGITS, 12, (0, 1)),
        ((None, *DIGITS), {}, 11, DIGITS, 0, ()),
    ],
)
def test_a_vocabulary_in_the_file_is_the_alphabet(
    vocabulary: tuple[str | None, ...], draft: dict[str, Any], classes: int,
    symbols: tuple[str, ...], blank: int, unused: tuple[int, ...],
) -> None:  # fmt: skip
    facts = replace(FACTS, vocabulary=vocabulary, classes=classes)
    spec = complete({"input": {"scale": 1.0}, **draft}, facts)
    assert (spec.symbols, spec.blank, spec.unused) == (symbols, blank, unused)


def test_a_vocabulary_of_another_size_is_not_taken() -> None:
    _, missing = filled({"blank": 0}, replace(FACTS, vocabulary=DIGITS, classes=40))
    assert any("--alphabet" in words for words in missing)


def test_a_ctc_loss_in_the_file_says_the_blank() -> None:
    assert complete({"symbols": DIGITS, "input": {"scale": 1}}, replace(FACTS, blank="first")).blank == 0


def test_unused_classes_may_be_words() -> None:
    spec = complete({**DRAFT, "symbols": "01234567", "unused": ["first", 2]}, FACTS)
    assert (spec.unused, spec.alphabet.encode("0")) == ((0, 2), (1,))


# --- what is written -------------------------------------------------------------------------------------------------


@given(
    rotate=st.sampled_from([0, 90]), invert=st.booleans(), skip=st.integers(0, 3),
    unused=st.sampled_from([(), (0,), (3, 5)]), scale=st.sampled_from([1.0, (1.0, 2.0, 3.0)]),
)  # fmt: skip
def test_written_spec_is_complete(rotate: Any, invert: bool, skip: int, unused: tuple[int, ...], scale: Any) -> None:
    colour: Any = "rgb" if isinstance(scale, tuple) else "grey"
    symbols = tuple("0123456789"[: 10 - len(unused)])
    image = InputSpec(64, 32, "WHC", scale, 0.0, colour, rotate=rotate, invert=invert)
    spec = ModelSpec("plates", symbols, 10, image, OutputSpec(16, 11), skip_steps=skip, unused=unused)
    text = essential(spec)
    assert ModelSpec.from_json(text) == spec
    assert json.loads(text)["input"]["invert"] is invert
    assert "odd_pixel" not in json.loads(text)["input"]
    assert len(text) <= len(spec.to_json())


def test_a_named_scale_of_channels_agrees_with_what_was_written() -> None:
    facts = replace(FACTS, shape=(64, 32, 3))
    draft = {**DRAFT, "input": {"pixels": "imagenet", "colour": "rgb"}}
    spec = complete(draft, facts)
    again = json.loads(essential(spec))
    again["input"]["pixels"] = "imagenet"
    assert complete(again, facts) == spec


def test_a_named_scale_waits_for_the_colours() -> None:
    draft, missing = filled({**DRAFT, "input": {"pixels": "x/255"}}, replace(FACTS, shape=(64, 32, 3)))
    assert draft["input"]["pixels"] == "x/255"
    assert [words for words in missing if "--colour" in words]
