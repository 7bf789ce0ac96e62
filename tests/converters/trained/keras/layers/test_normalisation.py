"""Norms with statistics from training, and with those of the sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import (
    KERAS3,
    USUAL,
    Row,
    changed,
    check,
    converted,
    network_of,
    rows,
    save,
)

MAP, STEPS = (3, 4, 6), (5, 4)
MEAN = [0.5, -1.0, 2.0, 0.0, 1.0, 3.0]
VARIANCE = [0.3, 2.0, 0.5, 1.0, 4.0, 0.1]


@rows(
    Row("batch", MAP, lambda keras, x: keras.layers.BatchNormalization()(x)),
    Row("batch, plain", MAP, lambda keras, x: keras.layers.BatchNormalization(center=False, scale=False)(x)),
    Row("batch, epsilon", STEPS, lambda keras, x: keras.layers.BatchNormalization(epsilon=0.1)(x)),
    Row("batch, first axis", MAP, lambda keras, x: keras.layers.BatchNormalization(axis=1)(x)),
    Row("batch, renorm", MAP, lambda keras, x: keras.layers.BatchNormalization(renorm=True)(x), ("keras2.h5",)),
    Row("layer", STEPS, lambda keras, x: keras.layers.LayerNormalization()(x)),
    Row("layer, plain", STEPS, lambda keras, x: keras.layers.LayerNormalization(center=False, scale=False)(x)),
    Row("layer, one axis", MAP, lambda keras, x: keras.layers.LayerNormalization(axis=2, epsilon=1e-6)(x)),
    Row("layer, axes", MAP, lambda keras, x: keras.layers.LayerNormalization(axis=[1, 3])(x)),
    Row("layer, all axes", MAP, lambda keras, x: keras.layers.LayerNormalization(axis=[1, 2, 3])(x)),
    Row("layer, rms", STEPS, lambda keras, x: keras.layers.LayerNormalization(rms_scaling=True)(x), KERAS3),
    Row("rms", STEPS, lambda keras, x: keras.layers.RMSNormalization()(x), KERAS3),
    Row("group", MAP, lambda keras, x: keras.layers.GroupNormalization(3)(x)),
    Row("group, plain", MAP, lambda keras, x: keras.layers.GroupNormalization(2, center=False, scale=False)(x)),
    Row("group, instance", MAP, lambda keras, x: keras.layers.GroupNormalization(-1)(x)),
    Row("group, first axis", (6, 3, 4), lambda keras, x: keras.layers.GroupNormalization(2, axis=1)(x)),
    Row("unit", STEPS, lambda keras, x: keras.layers.UnitNormalization()(x)),
    Row("unit, axes", MAP, lambda keras, x: keras.layers.UnitNormalization(axis=[1, 2])(x)),
    Row("given", MAP, lambda keras, x: keras.layers.Normalization(mean=MEAN, variance=VARIANCE)(x)),
    Row("given, inverse", MAP, lambda keras, x: keras.layers.Normalization(-1, MEAN, VARIANCE, invert=True)(x)),
    Row("given, one", MAP, lambda keras, x: keras.layers.Normalization(axis=None, mean=0.5, variance=4.0)(x)),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
def test_norm(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@pytest.mark.parametrize("axis", [-1, [1, -1], None])
@pytest.mark.parametrize("name", USUAL)
def test_adapted(name: str, axis: Any, tmp_path: Path) -> None:
    """Numbers that were measured are weights."""
    row = Row("adapted", MAP, lambda keras, x: keras.layers.Normalization(axis=axis)(x))
    model, images, _ = network_of(row, name.partition(".")[0])
    model.layers[-1].finalize_state()
    expected = np.asarray(model(images))
    graph = converted(save(model, tmp_path / name), MAP)
    np.testing.assert_allclose(oracle.run(graph, images), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(oracle.run(graph.folded(), images), expected, rtol=1e-4, atol=1e-4)


def test_name_of_a_batch_norm(tmp_path: Path) -> None:
    """It is one scale and shift, which has the layer's name."""
    row = Row("named", MAP, lambda keras, x: keras.layers.BatchNormalization(name="norm1")(x))
    model, _, _ = network_of(row)
    assert [node.name for node in converted(save(model, tmp_path / "model.keras"), MAP).nodes] == ["norm1"]


@pytest.mark.parametrize(
    ("layer", "settings", "words"),
    [
        ("BatchNormalization", {"axis": 0}, "batch axis"),
        ("BatchNormalization", {"axis": [1, 3]}, "one axis"),
        ("BatchNormalization", {"axis": 7}, "axis 7"),
        ("BatchNormalization", {"epsilon": -5.0}, "not positive"),
        ("GroupNormalization", {"groups": 4}, "divisor of 6"),
        ("GroupNormalization", {"groups": "two"}, "whole numbers"),
        ("LayerNormalization", {"axis": []}, "different axes"),
        ("Normalization", {"mean": ["a"]}, "expected numbers"),
        ("Normalization", {"mean": [1.0, 2.0]}, "shape"),
        ("Normalization", {"mean": [1e39] * 6}, "finite"),
        ("Normalization", {"variance": [-1.0] * 6}, "negative"),
    ],
)
def test_damaged(layer: str, settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    numbers = {"mean": MEAN, "variance": VARIANCE} if layer == "Normalization" else {}
    numbers = {"groups": 3} if layer == "GroupNormalization" else numbers
    model, _, _ = network_of(Row("", MAP, lambda keras, x: getattr(keras.layers, layer)(**numbers)(x)))
    path = changed(save(model, tmp_path / "model.keras"), layer, settings)
    with pytest.raises(ModelFileError, match=words):
        converted(path, MAP)


def test_statistics_of_the_batch(tmp_path: Path) -> None:
    """A norm that Keras 2 calls for training mixes the images of a batch; Keras 3 overrides that at inference."""
    row = Row("", MAP, lambda keras, x: keras.layers.BatchNormalization()(x, training=True))
    model, _, _ = network_of(row, "keras2")
    with pytest.raises(ModelFileError, match="training=True"):
        converted(save(model, tmp_path / "model.h5"), MAP)
    model, images, _ = network_of(row)
    graph = converted(save(model, tmp_path / "model.keras"), MAP)
    np.testing.assert_allclose(oracle.run(graph, images), model.predict(images, verbose=0), atol=1e-4)
