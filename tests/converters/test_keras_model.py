from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters import oracle
from converters.graph import Affine, Graph, weights
from converters.keras_model import load_graph


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (5, 32, 16, 1)).astype(np.float32)


def test_graph_gives_what_keras_gives(variant: Path, images: np.ndarray) -> None:
    from converters.keras_reference import KerasReference

    graph = load_graph(variant)
    expected = KerasReference(variant, batch=4).infer(images)
    np.testing.assert_allclose(oracle.run(graph, images), expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(oracle.run(graph.folded(), images), expected, atol=1e-5, rtol=0)
    assert expected.std(axis=0).max() > 0.02  # the images are told apart
