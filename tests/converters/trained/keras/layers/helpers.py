"""Networks of a few layers: saved by Keras, converted, and run by the oracle, which must give what Keras gives."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.cells import Array
from converters.graph.graph import Graph
from converters.trained.keras import layers as layers  # fills the table of layers
from converters.trained.keras.builder import GraphBuilder
from converters.trained.keras.calls import evaluate, model_config
from converters.trained.keras.file import open_keras_file

FORMATS = ("keras3.keras", "keras3.h5", "keras2.h5", "keras2.keras")
KERAS3 = FORMATS[:2]
KERAS2 = FORMATS[2:3]
USUAL = FORMATS[:3]


@dataclass(frozen=True)
class Row:
    """A variant of a layer."""

    name: str
    shape: tuple[int, ...]
    """Shape of one sample."""
    build: Callable[[Any, Any], Any]
    """(Keras, its input) → its output."""
    formats: tuple[str, ...] = USUAL


def rows(*table: Row) -> pytest.MarkDecorator:
    """Run a test for each row; its parameter is `row`."""
    return pytest.mark.parametrize("row", table, ids=[row.name for row in table])


def check(row: Row, folder: Path) -> None:
    """Check that a network is converted to the same function from every format."""
    for version in ("keras3", "keras2"):
        formats = [name for name in row.formats if name.startswith(version)]
        if not formats:
            continue
        model, images, expected = network_of(row, version)
        for name in formats:
            graph = converted(save(model, folder / name), row.shape)
            for variant in (graph, graph.folded()):
                result = oracle.run(variant, images)
                assert result.shape == expected.shape, name
                np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4, err_msg=f"{row.name}, {name}")


def network_of(row: Row, version: str = "keras3") -> tuple[Any, Array, Array]:
    """Return a network with random weights, images, and its output for them."""
    keras = engine(version)
    inputs = keras.Input(row.shape)
    model = keras.Model(inputs, row.build(keras, inputs))
    random = np.random.default_rng(7)
    model.set_weights([_weights(random, weight) for weight in model.weights])
    images = random.normal(0, 2, (3, *row.shape)).astype(np.float32)
    return model, images, np.asarray(model(images, training=False))


def _weights(random: np.random.Generator, weight: Any) -> Array:
    values = random.normal(0, 0.5, tuple(weight.shape)).astype(np.float32)
    return np.abs(values) + 0.5 if "variance" in weight.name else values


def save(model: Any, path: Path) -> Path:
    """Save a network without Keras' warning about .h5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def converted(path: Path, shape: Sequence[int]) -> Graph:
    """Convert a file to a graph without the checks for a text recogniser."""
    with open_keras_file(path) as file:
        model = model_config(file.config, file.keras2)
        builder = GraphBuilder(tuple(shape))
        (output,) = evaluate(model, {model.inputs[0]: builder.input}, builder, file.weights)
        return builder.graph(output)


@cache
def engine(version: str) -> Any:
    """Import Keras 3, or tf-keras for Keras 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras" if version == "keras3" else "tf_keras")


def changed(path: Path, kind: str, settings: Mapping[str, Any]) -> Path:
    """Change the settings of all layers of a class in a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    for layer in config["config"]["layers"]:
        if layer["class_name"] == kind:
            layer["config"].update(settings)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
