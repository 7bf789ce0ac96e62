"""Checks that a Keras model, and the graph read from its file, compute what a graph computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from converters.graph import oracle
from converters.graph.graph import Graph
from converters.keras import to_keras, write_keras
from tests.converters.onnx.made import Random
from tests.converters.trained.keras.layers.helpers import converted


def assert_written_as_the_oracle(graph: Graph, path: Path) -> Graph:
    """Check the model of a graph on a batch and on an image, and the graph that is read from its file at `path`.

    Returns:
        The graph read from the file.
    """
    model = to_keras(graph)
    write_keras(graph, path)
    read = converted(path, graph.input_shape)
    batch = Random(3)(3, *graph.input_shape)
    for images in (batch, batch[1:2]):
        expected = oracle.run(graph, images)
        assert_near(np.asarray(model(images, training=False)), expected)
        assert_near(oracle.run(read, images), expected)
    return read


def assert_near(actual: Any, expected: Any) -> None:
    """Check that two arrays are equal but for rounding, relative to the largest value."""
    assert (actual.dtype, actual.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * max(1.0, float(np.abs(expected).max())))
