from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.artifact import make_tflite
from converters.graph import oracle
from converters.graph.graph import Graph
from converters.recipe import ONNX_RECIPES, RECIPES
from converters.verify.gate import Gate, Readings, read_all
from converters.verify.seeded import compare_seeded, seeded_images
from edge_crnn.backends import FakeBackend, open_backend
from edge_crnn.errors import VerificationError
from edge_crnn.model.spec import ModelSpec, Parity
from edge_crnn.preprocess import preprocess
from tests.conftest import TINY


def test_images_are_the_same_on_every_run_and_all_different() -> None:
    first = seeded_images(TINY.input)
    second = seeded_images(TINY.input)
    assert first.digests == second.digests
    assert len(set(first.digests)) == len(first) == 36
    assert not first.labelled
    for entry in first:
        assert (entry.load().shape, entry.load().dtype) == ((16, 32, 3), np.uint8)
    assert seeded_images(replace(TINY.input, width=33)).digests != first.digests


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 40), (40, 1), (7, 300)])
def test_canvases_of_any_size(width: int, height: int) -> None:
    images = seeded_images(replace(TINY.input, width=width, height=height))
    assert {entry.load().shape for entry in images} == {(height, width, 3)}


def readings(value: float) -> list[Readings]:
    probabilities = np.full((2, 16, 11), value, np.float32)
    return [Readings(("1", ""), (1.0, 1.0), probabilities)]


@pytest.mark.parametrize("recipe", [*RECIPES.values(), *ONNX_RECIPES.values()], ids=lambda recipe: recipe.name)
def test_the_bound_is_that_of_the_recipe(recipe: object) -> None:
    bound = recipe.largest_change  # type: ignore[attr-defined]
    verification = compare_seeded("x", readings(0.0), readings(bound * 0.999), recipe, Gate())  # type: ignore[arg-type]
    assert verification.parity.verdict == "unverified"
    assert verification.parity.max_probability_change == pytest.approx(bound, rel=0.01)
    assert verification.parity.images == 0
    assert verification.passes(strict=False)
    assert not verification.passes(strict=True)
    assert "no image with text was read" in verification.summary
    assert "accuracy was not measured" in verification.summary
    if bound < 1:
        with pytest.raises(VerificationError, match=r"x: on seeded images its probabilities are up to .* expected"):
            compare_seeded("x", readings(0.0), readings(bound * 1.01), recipe, Gate())  # type: ignore[arg-type]


def test_probabilities_that_are_no_numbers_do_not_pass() -> None:
    with pytest.raises(VerificationError):
        compare_seeded("x", readings(0.0), readings(np.nan), RECIPES["int8-full"], Gate())


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic"])
def test_sound_artifacts_are_within_the_bound_and_wrong_ones_beyond(recipe: str, tiny_graph: Graph) -> None:
    images = seeded_images(TINY.input)
    truth = oracle.run(tiny_graph, preprocess([entry.load() for entry in images], TINY.input))
    reference = read_all(FakeBackend(truth, TINY.input.shape), TINY, images, "x")
    node = tiny_graph.nodes[0]
    broken = replace(tiny_graph, nodes=(replace(node, kernel=-node.kernel), *tiny_graph.nodes[1:]))  # type: ignore
    for graph, is_sound in ((tiny_graph, True), (broken, False)):
        artifact = make_tflite(Path("x.tflite"), graph, TINY, RECIPES[recipe], "0" * 64)
        backend = open_backend(artifact)
        ours = read_all(backend, artifact.spec, images, "x")
        backend.close()
        if is_sound:
            compare_seeded("x", [reference], [ours], RECIPES[recipe], Gate())
        else:
            with pytest.raises(VerificationError):
                compare_seeded("x", [reference], [ours], RECIPES[recipe], Gate())


def test_the_verdict_is_kept_in_the_spec() -> None:
    parity = compare_seeded("x", readings(0.0), readings(0.0), RECIPES["float32"], Gate()).parity
    spec = replace(TINY, parity=parity)
    again = ModelSpec.from_json(spec.to_json()).parity
    assert isinstance(again, Parity)
    assert again == parity
