from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.graph.nodes import Dense, Recurrent, Softmax
from converters.graph.ranges import calibrate
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
