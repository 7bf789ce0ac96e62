"""Files that take pixels: transposition, inversion, scale and offset inside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.graph import INPUT, Graph
from converters.graph.nodes import Affine, Concat, Node, Pool, Recurrent, Reshape, Reverse, Unary
from converters.graph.ranges import calibrate
from converters.recipe import Recipe
from converters.tflite.to_tflite import to_tflite
from edge_crnn.model.spec import InputSpec
from tests.converters.tflite.running import Maker, check, ending, every_recipe, ops_of, read

M = Maker(5)


def holds_for_pixels(
    recipe: Recipe, layers: tuple[Node, ...], image: InputSpec, levels: tuple[int, int] = (0, 256), batch: int = 1
) -> bytes:
    """A file that takes pixels, uint8, height before width, whatever the network takes; checked against the oracle."""
    width, height = image.turned
    pixels = np.random.default_rng(8).integers(*levels, (32, height, width, image.channels), np.uint8)
    images = ((255 - pixels if image.invert else pixels) * image.scale + image.offset).astype(np.float32)
    if image.axes == "WHC":
        images = images.swapaxes(1, 2)
    graph = ending(image.shape, *layers, images=images).folded()
    ranges = calibrate(graph, [images]) if recipe.needs_calibration else None
    payload = to_tflite(graph, replace(image, dtype="uint8"), recipe, ranges, batch)
    check(recipe, read(payload, pixels), oracle.run(graph, images))
    return payload


SCALES = {
    "-1 to 1": (1 / 127.5, -1.0),
    "0 to 1": (1 / 255, 0.0),
    "around 127": (1.0, -127.0),
    "raw": (1.0, 0.0),
    "beyond pixels above": (1 / 255, 0.5),
    "beyond pixels below": (1 / 100, -4.0),
    "negative": (-1 / 255, 1.0),
}
FIRST: dict[str, tuple[Node, ...]] = {
    "conv": (M.conv((2, 3), 1, 4, activation="relu"),),
    "padded conv": (M.conv((2, 3), 1, 4, pads=((0, 1), (1, 1)), activation="relu"),),
    "norm": (M.norm(1), Unary("f", "relu")),
    "pool": (Pool("pool", "max", (2, 2), (1, 1), ((0, 1), (0, 1))), M.conv((2, 3), 1, 4)),
    "dense": (M.dense(1, 4, "relu"),),
    "function": (Unary("f", "relu"),),
    "lstm": (Reshape("rows", (8, 5)), Recurrent("lstm", M.cell(5, 4), None)),
}


@every_recipe
@pytest.mark.parametrize("values", SCALES)
@pytest.mark.parametrize("first", FIRST)
def test_pixels_of_any_scale_before_any_layer(first: str, values: str, recipe: Recipe) -> None:
    scale, offset = SCALES[values]
    # To -1..1, as the layers like it; folded into some of them.
    norm = Affine(
        "scaled", np.float32([1 / 127.5 / abs(scale)]), np.float32([-(127.5 * scale + offset) / 127.5 / abs(scale)])
    )
    holds_for_pixels(recipe, (norm, *FIRST[first]), InputSpec(8, 5, "WHC", scale, offset))


@every_recipe
@pytest.mark.parametrize("first", sorted(FIRST.keys() - {"padded conv"}))
def test_half_a_level_is_not_lost(first: str, recipe: Recipe) -> None:
    """Zero lies between two pixels, where int8 cannot have it; with few levels this shows in whatever comes first."""
    layers = FIRST[first]
    if first == "lstm":  # its gates are open wide for a bright image, and shut for a dark one
        layers = (layers[0], Recurrent("lstm", replace(M.cell(5, 4), kernel=0.5 * np.ones((5, 16), np.float32)), None))
    holds_for_pixels(recipe, layers, InputSpec(8, 5, "WHC", 1.0, -127.5), levels=(126, 130))


@every_recipe
@pytest.mark.parametrize("axes", ["WHC", "HWC"])
@pytest.mark.parametrize("colour", ["grey", "bgr", "rgb"])
@pytest.mark.parametrize("batch", [1, 4])
def test_pixels_of_any_layout(axes: str, colour: str, batch: int, recipe: Recipe) -> None:
    image = InputSpec(8, 5, axes, 1 / 127.5, -1.0, colour)  # type: ignore[arg-type]
    layers = (M.conv((2, 3), image.channels, 4), Pool("pool", "max", (2, 2), (2, 2)))
    holds_for_pixels(recipe, layers, image, batch=batch)


@every_recipe
@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("invert", [False, True])
def test_scale_and_offset_per_channel(colour: Any, invert: bool, recipe: Recipe) -> None:
    image = InputSpec(8, 5, "WHC", (1 / 127.5, 1 / 200, -1 / 64), (-1.0, 0.0, 2.0), colour, invert=invert)
    holds_for_pixels(recipe, (M.conv((2, 3), 3, 4, activation="relu"),), image)


@every_recipe
@pytest.mark.parametrize("axes", ["WHC", "HWC"])
def test_pixels_come_turned(axes: Any, recipe: Recipe) -> None:
    image = InputSpec(8, 5, axes, 1 / 127.5, -1.0, rotate=90)
    holds_for_pixels(recipe, (M.conv((2, 3), 1, 4),), image)


@every_recipe
@pytest.mark.parametrize("first", FIRST)
def test_inverted_pixels(first: str, recipe: Recipe) -> None:
    """Inversion in int8 costs nothing if the first layers have weights, which can be negated."""
    image = InputSpec(8, 5, "WHC", 1 / 127.5, -1.0, invert=True)
    payload = holds_for_pixels(recipe, FIRST[first], image)
    if recipe.stack == "static":
        assert ("CAST" in ops_of(payload)) == (first in ("pool", "function", "lstm"))


# --- who takes up a shift --------------------------------------------------------------------------------------------


def two_ways(second: str) -> Graph:
    """The image goes two ways, which meet again: a convolution, and something else."""
    first = replace(M.conv((1, 1), 1, 4), inputs=(INPUT,))
    other: dict[str, tuple[Node, ...]] = {
        "conv": (replace(M.conv((1, 1), 1, 4), name="other", inputs=(INPUT,)),),
        "reversed conv": (
            Reverse("turned", 0, inputs=(INPUT,)),
            replace(M.conv((1, 1), 1, 4), name="other", inputs=("turned",)),
        ),
        "function": (Unary("other", "sigmoid", inputs=(INPUT,)),),
        "itself": (Concat("other", 2, inputs=(INPUT, INPUT)),),
    }
    nodes = (first, *other[second], Concat("both", 2, inputs=("conv", "other")))
    return ending((8, 5, 1), *nodes, images=images_of(levels=(126, 130)))


IMAGE = InputSpec(8, 5, "WHC", 1.0, -127.5, dtype="uint8")


def images_of(levels: tuple[int, int]) -> np.ndarray:
    return (pixels_of(levels) * IMAGE.scale + IMAGE.offset).astype(np.float32).swapaxes(1, 2)


def pixels_of(levels: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(8).integers(*levels, (32, 5, 8, 1), np.uint8)


@every_recipe
@pytest.mark.parametrize(
    ("second", "taken_up"), [("conv", True), ("reversed conv", True), ("function", False), ("itself", False)]
)
def test_a_shift_is_taken_up_by_all_or_none(second: str, taken_up: bool, recipe: Recipe) -> None:
    """Zero lies between two of the pixels: half a level is lost unless every way makes up for it."""
    graph = two_ways(second)
    images = images_of((126, 130))
    ranges = calibrate(graph, [images]) if recipe.needs_calibration else None
    payload = to_tflite(graph, IMAGE, recipe, ranges)
    check(recipe, read(payload, pixels_of((126, 130))), oracle.run(graph, images))
    if recipe.stack == "static":
        assert ("CAST" in ops_of(payload)) == (not taken_up)
