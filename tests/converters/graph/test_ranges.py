from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.graph import INPUT, Graph
from converters.graph.nodes import Conv, Dense, Recurrent, Softmax
from converters.graph.ranges import calibrate, narrowed
from edge_crnn.errors import ConversionError, DatasetError


def values_of(graph: Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}
    oracle.run(graph, images, values.__setitem__)
    return values


def test_ranges_are_those_of_all_images_however_they_are_batched(tiny_graph: Graph, tiny_images: np.ndarray) -> None:
    expected = {name: (values.min(), values.max()) for name, values in values_of(tiny_graph, tiny_images).items()}
    for parts in ([16], [5, 11], [1] * 16):
        batches = np.split(tiny_images, np.cumsum(parts)[:-1])
        ranges = calibrate(tiny_graph, iter(batches))
        assert ranges.keys() == expected.keys()
        for name in ranges:
            assert ranges[name] == pytest.approx(expected[name], abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 15))
def test_every_image_counts(tiny_graph: Graph, tiny_images: np.ndarray, place: int) -> None:
    """An image with values that no other has moves the ranges, wherever it stands."""
    images = tiny_images.copy()
    images[place] *= 3
    ranges = calibrate(tiny_graph, np.split(images, [7, 14]))
    assert ranges["input"] == (images[place].min(), images[place].max())
    assert ranges["input"] != calibrate(tiny_graph, [tiny_images])["input"]


def test_all_layers_and_recurrent_interiors_have_ranges(tiny_graph: Graph, tiny_images: np.ndarray) -> None:
    ranges = calibrate(tiny_graph, [tiny_images])
    assert ranges.keys() >= {"input", *(layer.name for layer in tiny_graph.nodes)}
    for layer in tiny_graph.nodes:
        if isinstance(layer, Recurrent):
            assert {f"{layer.name}/{way}/state" for way in ("forward", "backward")} < ranges.keys()
    assert all(low <= high for low, high in ranges.values())
    assert 0 <= ranges["softmax"][0] < ranges["softmax"][1] <= 1


@pytest.mark.parametrize("batches", [[], [np.zeros((0, 32, 16, 1), np.float32)]])
def test_no_image_is_refused(tiny_graph: Graph, batches: list[np.ndarray]) -> None:
    with pytest.raises(DatasetError, match="no calibration images; name a folder with some"):
        calibrate(tiny_graph, batches)


@pytest.mark.parametrize("weight", [3e38, -3e38])
def test_values_beyond_float32_are_refused(weight: float) -> None:
    dense = Dense("dense", np.full((2, 2), weight, np.float32), np.zeros(2, np.float32))
    graph = Graph.chain((3, 2), (dense, Softmax("softmax")))
    with pytest.raises(ConversionError, match=r"value 'dense' goes from .*inf.*; int8 needs finite values"):
        calibrate(graph, [np.ones((1, 3, 2), np.float32)])


def quantised(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Round to the 256 numbers of int8 that a range has."""
    steps = np.linspace(low, high, 256)
    return steps[np.abs(values[:, None] - steps).argmin(axis=1)]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1, 100), st.booleans())
def test_a_narrowed_range_has_the_least_error(seed: int, outlier: float, is_heavy: bool) -> None:
    random = np.random.default_rng(seed)
    sample = random.standard_t(3, 2000) if is_heavy else random.normal(size=2000)
    low, high = float(sample.min()) - outlier, float(sample.max()) + outlier
    narrow = narrowed(low, high, sample.astype(np.float32))
    assert low <= narrow[0] < narrow[1] <= high

    def error(share: float) -> float:
        return float(np.square(sample - quantised(sample, low * share, high * share)).mean())

    assert error(narrow[0] / low) <= 1.05 * min(map(error, np.linspace(0.25, 1, 16)))


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_only_sums_without_an_activation_get_a_narrower_range(activation: str) -> None:
    """A single large sum of a convolution is cut off; after a ReLU, it counts."""
    random = np.random.default_rng(1)
    images = random.normal(size=(4, 64, 64, 2)).astype(np.float32)
    images[0, 3, 3, 0] = 12
    one = np.eye(2, dtype=np.float32)[None, None]
    conv = Conv("conv", one, np.zeros(2, np.float32), activation=activation, inputs=(INPUT,))
    graph = Graph((64, 64, 2), (conv,))
    ranges = calibrate(graph, [images])
    assert ranges[INPUT][1] == 12
    assert (ranges["conv"][1] < 12) == (activation == "linear")


def test_the_range_of_every_channel_counts() -> None:
    """One channel of many is far larger than the others, whatever its place."""
    random = np.random.default_rng(2)
    for channel in range(0, 64, 7):
        images = random.normal(size=(8, 32, 32, 64)).astype(np.float32)
        images[..., channel] *= 50
        conv = Conv("conv", np.eye(64, dtype=np.float32)[None, None], np.zeros(64, np.float32), inputs=(INPUT,))
        assert calibrate(Graph((32, 32, 64), (conv,)), [images])["conv"][1] > 50
