"""Conventions of a network, measured on images that are labelled with what it reads by one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from converters.conventions.complete import filled
from converters.conventions.measure.measure import Measured, measure
from converters.graph import oracle
from converters.source import open_draft, open_source
from edge_crnn import ctc
from edge_crnn.errors import InputError, VerificationError
from edge_crnn.model.artifact import load_sidecar
from edge_crnn.model.spec import InputSpec, ModelSpec
from edge_crnn.preprocess import preprocess

COUNT = 24
TRUTH = InputSpec(32, 16, "WHC", 1 / 127.5, -1.0)
Labelled = tuple[list[np.ndarray], list[str]]


@pytest.fixture(scope="module")
def bare(tiny_keras: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network without a spec."""
    path = tmp_path_factory.mktemp("bare") / "tiny.keras"
    path.write_bytes(tiny_keras.read_bytes())
    return path


@pytest.fixture(scope="module")
def labelled(tiny_keras: Path) -> Callable[..., Labelled]:
    """Makes images and what the tiny network reads in them by a convention."""
    source = open_source(tiny_keras)

    def make(**settings: Any) -> Labelled:
        image = replace(load_sidecar(tiny_keras).input, **settings)
        random = np.random.default_rng(3)
        pictures = [random.integers(0, 256, (5, 9)).astype(np.uint8) for _ in range(600)]
        pictures = [cv2.resize(picture, (90, 30), interpolation=cv2.INTER_NEAREST) for picture in pictures]
        table = oracle.run(source.graph, preprocess(pictures, image))
        read = ctc.greedy(table, source.spec.blank, source.spec.skip_steps)
        surest = sorted(range(600), key=lambda place: (len(read[place].indices) < 2, -read[place].confidence))[:COUNT]
        texts = [source.spec.alphabet.spell(read[place].indices) for place in surest]
        return [pictures[place] for place in surest], texts

    return make


def measured(path: Path, pictures: list[np.ndarray], texts: list[str] | None, **declared: Any) -> Measured:
    opened = open_draft(path, declared=declared)
    return measure(opened.draft, opened.facts, pictures, texts)


def spec_of(result: Measured) -> ModelSpec:
    return ModelSpec.from_json(json.dumps(result.draft))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"invert": True, "scale": 1 / 255, "offset": 0.0},
        {"resize": "fit", "align": "left", "padding": 255},
        {"axes": "HWC", "rotate": 90, "resize": "paste", "align_vertical": "top", "padding": 255},
        {"standardise": True, "scale": 1.0, "offset": 0.0},
    ],
)
def test_the_convention_of_the_labels_is_found(
    bare: Path, labelled: Callable[..., Labelled], settings: dict[str, Any]
) -> None:
    pictures, texts = labelled(**settings)
    result = measured(bare, pictures, texts)
    spec = spec_of(result)
    expected = replace(TRUTH, **settings)
    assert result.right >= COUNT - 1
    unsure = {finding.dimension for finding in result.findings if finding.unsure}
    assert (spec.blank, spec.alphabet.symbols) == (10, tuple("0123456789"))
    if "pixels" not in unsure and "invert" not in unsure:
        assert (spec.input.scale, spec.input.offset) == (expected.scale, expected.offset)
        assert (spec.input.invert, spec.input.standardise) == (expected.invert, expected.standardise)
    assert (spec.input.axes, spec.input.rotate) == (expected.axes, expected.rotate)
    if "resize" not in unsure:
        assert spec.input.resize == expected.resize


def test_declared_facts_are_not_measured(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, texts = labelled()
    image = {"resize": "stretch", "scale": 1 / 127.5, "offset": -1.0}
    declared = {"blank": 10, "skip_steps": 2, "symbols": "0123456789", "input": image}
    result = measured(bare, pictures, texts, **declared)
    assert {finding.dimension for finding in result.findings} == {"invert", "orientation", "interpolation"}
    assert spec_of(result).input.axes == "WHC"


def test_an_unusual_order_of_the_alphabet_is_learned(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, texts = labelled()
    renamed = str.maketrans("0123456789", "kxqzjwvbpm")
    result = measured(bare, pictures, [text.translate(renamed) for text in texts])
    used = set("".join(texts))
    shown = spec_of(result).alphabet
    for digit in used:
        assert shown.encode(digit.translate(renamed)) == (int(digit),)
    assert ("no usual order" in " ".join(result.notes)) or used == set("0123456789")


def test_labels_of_other_images_are_read_by_no_convention(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, _ = labelled()
    texts = ["".join(row) for row in np.random.default_rng(5).choice(list("0123456789"), (COUNT, 12))]
    with pytest.raises(VerificationError, match="no usual convention"):
        measured(bare, pictures, texts)


def test_without_labels_the_alphabet_must_be_known(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, _ = labelled()
    with pytest.raises(InputError, match="--alphabet"):
        measured(bare, pictures, None)
    result = measured(bare, pictures, None, symbols="0123456789")
    assert spec_of(result).symbols == tuple("0123456789")


def test_the_result_is_a_whole_spec(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, texts = labelled()
    result = measured(bare, pictures, texts)
    _, missing = filled(result.draft, open_draft(bare, declared={}).facts)
    assert not missing


def test_without_labels_classes_without_a_symbol_must_be_named(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, _ = labelled()
    with pytest.raises(InputError, match="--unused"):
        measured(bare, pictures, None, symbols="012345678")


def test_steps_must_remain(bare: Path, labelled: Callable[..., Labelled]) -> None:
    pictures, texts = labelled()
    with pytest.raises(InputError, match="16 steps"):
        measured(bare, pictures, texts, skip_steps=16)
