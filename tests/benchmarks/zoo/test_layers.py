from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from converters.graph import oracle
from converters.reference.keras import KerasReference
from converters.trained.keras.custom import load_layers
from converters.trained.keras.model import Declarations, load_network

LAYERS = Path(__file__).parents[3] / "benchmarks" / "zoo" / "layers.py"


def test_layers_of_ones_own_are_converted_and_run_by_keras(keras: Any, tmp_path: Path) -> None:
    from benchmarks.zoo.train import GatedConv2D, Positions

    image = keras.Input((6, 8, 2))
    steps = keras.layers.Reshape((6, 24))(GatedConv2D(3)(image))
    model = keras.Model(image, keras.layers.Dense(4, activation="softmax")(Positions()(steps)))
    random = np.random.default_rng(3)
    model.set_weights([random.normal(size=weight.shape) for weight in model.weights])
    model.save(tmp_path / "model.keras")
    images = random.normal(size=(2, 6, 8, 2)).astype(np.float32)
    expected = np.asarray(model(images))
    custom, classes = load_layers(LAYERS)
    network = load_network(tmp_path / "model.keras", None, Declarations(custom=custom))
    np.testing.assert_allclose(oracle.run(network.graph.folded(), images), expected, atol=1e-5)
    for known_classes in (classes, {}):  # by the user's own code, and by the converted graph
        reference = KerasReference(tmp_path / "model.keras", None, network, classes=known_classes)
        np.testing.assert_allclose(reference.infer(images), expected, atol=1e-5)
        reference.close()
