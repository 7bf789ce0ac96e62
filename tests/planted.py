"""The objects that faults are planted in: a trained model without TensorFlow, folders of images, and artifacts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters import pipeline
from converters.artifact import check_spec, make_tflite
from converters.cli import arguments
from converters.graph import graph, nodes, oracle
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES
from converters.reference import keras as keras_reference
from converters.tflite.writer import pack
from converters.trained.keras.model import Network
from edge_crnn import ctc
from edge_crnn.backends import BackendFacts
from edge_crnn.dataset import content_hash, find_images
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load, load_sidecar, save, sidecar
from edge_crnn.model.spec import Calibration, InputSpec, ModelSpec, OutputSpec
from edge_crnn.preprocess import preprocess

SPEC = ModelSpec(
    "tiny", tuple("0123456789"), 10, InputSpec(32, 16, "WHC", 1 / 127.5, -1.0), OutputSpec(16, 11), skip_steps=2
)
"""The spec of `tiny_graph`."""


class Oracle:
    """The trained model, in place of Keras."""

    def __init__(self, network: graph.Graph) -> None:
        self._network = network
        self.facts = BackendFacts("oracle", "1", "float32", (32, 16, 1), "float32", None)

    def infer(self, batch: np.ndarray) -> np.ndarray:
        return oracle.run(self._network, batch)

    def close(self) -> None:
        pass


def train(network: graph.Graph, folder: Path, patch: pytest.MonkeyPatch, spec: ModelSpec = SPEC) -> Path:
    """Write a file that stands for the trained model `network`, with its real spec beside it."""
    path = folder / "tiny.keras"
    path.write_bytes(b"a trained model")
    sidecar(path).write_text(spec.to_json(), encoding="utf-8")

    def open_source(path: Path, spec: ModelSpec | None, **_: object) -> pipeline.Source:
        spec = spec or load_sidecar(path)
        check_spec(spec, network)
        return pipeline.Source(path, spec, network, sha256(path.read_bytes()), Network(network))

    patch.setattr(arguments, "open_source", open_source)
    patch.setattr(keras_reference, "KerasReference", lambda *_, **__: Oracle(network))
    return path


def draw(folder: Path, seed: int, count: int, network: graph.Graph, spec: ModelSpec = SPEC) -> Path:
    """Draw soft blobs, 32×16 pixels, with the network's readings in a `labels.csv`."""
    folder.mkdir()
    grid = np.random.default_rng(seed).integers(0, 256, (count, 5, 9), np.uint8)
    pictures = list(np.repeat(np.repeat(grid, 4, axis=1), 4, axis=2)[:, 2:18, 2:34])
    read = ctc.greedy(oracle.run(network, preprocess(pictures, spec.input)), spec.blank, spec.skip_steps)
    lines = ["image,label"]
    for number, (picture, text) in enumerate(zip(pictures, read, strict=True)):
        assert cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
        lines += [f"{number:03d}.png,{spec.alphabet.spell(text.indices)}"] if text.indices else []
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def int8(path: Path, network: graph.Graph, quantised_with: Path, named: Path | None = None) -> Path:
    """Write an int8 artifact whose spec names other calibration images if `named` is given."""
    pictures = [cv2.imread(str(path)) for path in find_images(quantised_with)]
    ranges = calibrate(network, [preprocess(pictures, SPEC.input)])
    paths = find_images(named or quantised_with)
    calibration = Calibration(len(paths), content_hash(paths))
    artifact = make_tflite(path, network, SPEC, RECIPES["int8"], "0" * 64, ranges, calibration)
    return save(path, artifact.payload, artifact.spec).path


def rewrite(path: Path, change: Callable[[Any], None]) -> Path:
    """Change the model inside an artifact; the digests in its spec fit the changed model."""
    artifact = load(path)
    model = schema.ModelT.InitFromPackedBuf(artifact.payload, 0)
    change(model)
    return save(path, pack(model), artifact.spec).path


def tensors(model: Any, name: str) -> list[Any]:
    """Return a model's tensors whose whole name matches a regular expression."""
    all_tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors]
    matching = [tensor for tensor in all_tensors if re.fullmatch(name, tensor.name.decode())]
    assert matching
    return matching


def with_outlier(network: graph.Graph, channel: int, factor: int) -> graph.Graph:
    """Make one channel of the convolution smaller by a factor and compensate in the dense layer; the function stays."""
    conv, pool, sequence, dense, *rest = network.nodes
    assert isinstance(conv, nodes.Conv)
    assert isinstance(dense, nodes.Dense)
    kernel, bias, taken = conv.kernel.copy(), conv.bias.copy(), dense.kernel.copy()
    kernel[..., channel] /= factor
    bias[channel] /= factor
    taken[channel :: conv.kernel.shape[3]] *= factor
    conv, dense = replace(conv, kernel=kernel, bias=bias), replace(dense, kernel=taken)
    return graph.Graph(network.input_shape, (conv, pool, sequence, dense, *rest))


def keep_what_holds(images: Path, artifact: Path, folder: Path) -> Path:
    """Copy the images that an artifact reads as labelled; an untrained network loses some in int8."""
    entries = pipeline.load_sets([images], SPEC)[0]
    (read,) = pipeline.artifact_readings(load(artifact), [entries])
    folder.mkdir()
    lines = ["image,label"]
    for entry, label in zip(entries, read.labels, strict=True):
        if label == entry.label:
            (folder / entry.path.name).write_bytes(entry.path.read_bytes())
            lines.append(f"{entry.path.name},{label}")
    assert len(lines) > 40
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder
