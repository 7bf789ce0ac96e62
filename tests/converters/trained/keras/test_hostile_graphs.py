"""Configurations of a few kilobytes that would take for ever, or all memory: each is refused with one line, at once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph.nodes import Unary
from converters.trained.keras.model import load_graph
from edge_crnn.errors import ModelFileError

h5py = pytest.importorskip("h5py")

MAX_S = 8.0
"""One or two on a quiet machine."""
MAX_MEMORY_MB = 600
BASE = {"trainable": True, "dtype": "float32"}

Entry = dict[str, Any]
Tensor = tuple[str, int, int]


def tensor(*history: str | int) -> Entry:
    """A tensor in an argument of Keras 3: layer, which call, which result."""
    name, *numbers = history
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, *(numbers or (0, 0))]}}


def layer(kind: str, name: str, *sources: str, listed: bool = False, **settings: Any) -> Entry:
    """A layer that is called once, with tensors one by one or in a list."""
    tensors = [tensor(source) for source in sources]
    call = {"args": [tensors] if listed else tensors, "kwargs": {}}
    return {
        "class_name": kind,
        "name": name,
        "config": {**BASE, "name": name, **settings},
        "inbound_nodes": [call] if sources else [],
    }


def image(*shape: int) -> Entry:
    return layer("InputLayer", "image", batch_shape=[None, *shape])


def softmax(name: str) -> Entry:
    return layer("Softmax", "softmax", name, axis=-1)


def functional(*layers: Entry, output: str | None = None, inputs: tuple[str, ...] = ("image",)) -> Entry:
    call = int(layers[-1]["class_name"] == "Functional")  # an output counts the call that made it
    outputs = [[output or layers[-1]["name"], call, 0]]
    ends = {"input_layers": [[name, 0, 0] for name in inputs], "output_layers": outputs}
    return {"class_name": "Functional", "config": {"name": "model", "layers": list(layers), **ends}}


def nested(name: str, model: Entry, *calls: str | Tensor) -> Entry:
    """A model as a layer, called with each of these tensors."""
    nodes = [{"args": [tensor(*([call] if isinstance(call, str) else call))], "kwargs": {}} for call in calls]
    settings = {**model["config"], "name": name}
    return {"class_name": model["class_name"], "name": name, "config": settings, "inbound_nodes": nodes}


def written(folder: Path, config: Entry, version: str = "3.10.0") -> Path:
    path = folder / "model.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        for entry in config["config"]["layers"][:100]:
            group.require_group(entry["name"])
        file.attrs.create("model_config", json.dumps(config), dtype=h5py.string_dtype())
        file.attrs["keras_version"] = version
    return path


def multiplied(levels: int, calls: int, *body: Entry) -> Entry:
    """Models in one another, each of which calls the next several times, one after the other."""
    model = functional(image(8, 4), *(body or [layer("ReLU", "relu", "image")]))
    for _ in range(levels):
        sources: list[str | Tensor] = ["image", *(("inner", call, 0) for call in range(calls - 1))]
        model = functional(image(8, 4), nested("inner", model, *sources))
        model["config"]["output_layers"] = [["inner", calls, 0]]
    return model


def nested_deep(levels: int) -> Entry:
    model = functional(image(8, 4), layer("ReLU", "relu", "image"))
    for _ in range(levels):
        model = functional(image(8, 4), nested("inner", model, "image"))
    return model


def wrapped(kind: str, levels: int) -> Entry:
    """A layer in wrappers around each other."""
    inner: Entry = layer("Dense", "dense", units=4, use_bias=False, activation="linear")
    for number in range(levels):
        inner = layer(kind, f"wrapper_{number}", layer=inner)
    inner["inbound_nodes"] = [{"args": [tensor("image")], "kwargs": {}}]
    return functional(image(8, 4), inner)


def bombs() -> Entry:
    """Values that broadcast to 2^24 elements each, over and over."""
    layers = [
        image(4096, 1),
        layer("Permute", "turned", "image", dims=[2, 1]),
        layer("Add", "sum", "image", "turned", listed=True),
    ]
    for number in range(500):
        before = layers[-1]["name"]
        layers.append(layer("Concatenate", f"concat_{number}", before, before, listed=True, axis=-1))
    return functional(*layers)


def many(kind: str, count: int, shape: tuple[int, ...], **settings: Any) -> Entry:
    """A layer of one kind after another."""
    layers = [image(*shape)]
    for number in range(count):
        layers.append(layer(kind, f"layer_{number}", layers[-1]["name"], **settings))
    return functional(*layers)


def single(kind: str, shape: tuple[int, ...], **settings: Any) -> Entry:
    return functional(image(*shape), layer(kind, "victim", "image", **settings), softmax("victim"))


def wide_call() -> Entry:
    """A layer that takes a million tensors."""
    taken = layer("Concatenate", "wide", *["image"] * 60_000, listed=True, axis=-1)
    return functional(image(8, 1), taken, softmax("wide"))


def cycle() -> Entry:
    return functional(
        image(8, 4), layer("Add", "a", "image", "b", listed=True), layer("ReLU", "b", "a"), softmax("b"), output="b"
    )


def second_input(*ends: Entry) -> Entry:
    other = {**image(8, 4), "name": "other"}
    other["config"] = {**other["config"], "name": "other"}
    return functional(image(8, 4), other, *ends, inputs=("image", "other"))


def model_that_contains_itself() -> Entry:
    """Return a configuration that contains itself as far as JSON allows: a layer has the name of the model."""
    inner = functional(image(8, 4), layer("ReLU", "model", "image"))
    return functional(image(8, 4), nested("model", inner, "model"), softmax("model"))


def missing_call() -> Entry:
    config = functional(image(8, 4), layer("ReLU", "relu", "image"), softmax("relu"))
    config["config"]["layers"][2]["inbound_nodes"] = [{"args": [tensor("relu", 7, 0)], "kwargs": {}}]
    return config


def huge_call() -> Entry:
    config = functional(image(8, 4), layer("ReLU", "relu", "image"), softmax("relu"))
    config["config"]["layers"][2]["inbound_nodes"] = [{"args": [tensor("relu", 1 << 70, 0)], "kwargs": {}}]
    return config


def keyword(name: str) -> Entry:
    config = functional(image(8, 4), layer("ReLU", "relu", "image"), softmax("relu"))
    config["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {name: tensor("image")}
    return config


def nested_inputs() -> Entry:
    inner = functional(
        image(8, 4), {**image(8, 4), "name": "second"}, layer("ReLU", "relu", "image"), inputs=("image", "second")
    )
    return functional(image(8, 4), nested("inner", inner, "image"), softmax("inner"))


def nested_without_inputs() -> Entry:
    inner = functional(image(8, 4), layer("ReLU", "relu", "image"))
    inner["config"]["input_layers"] = []
    return functional(image(8, 4), nested("inner", inner, "image"), softmax("inner"))


def deep_arguments() -> Entry:
    config = functional(image(8, 4), layer("ReLU", "relu", "image"), softmax("relu"))
    value: Any = tensor("image")
    for _ in range(700):
        value = [value]
    config["config"]["layers"][1]["inbound_nodes"][0]["args"] = [value]
    return config


HUGE = 1 << 24
CASES: dict[str, tuple[Callable[[], Entry], str]] = {
    "a cycle": (cycle, "feeds itself"),
    "a layer that takes itself": (lambda: functional(image(8, 4), layer("ReLU", "relu", "relu")), "feeds itself"),
    "a model that takes itself": (model_that_contains_itself, "feeds itself"),
    "a million nodes": (lambda: multiplied(6, 10), "more than edge-crnn converts"),
    "ten thousand million nodes": (lambda: multiplied(10, 10), "more than edge-crnn converts"),
    "calls without nodes": (lambda: multiplied(10, 10, layer("Dropout", "drop", "image")), "calls more than 10,000"),
    "models 15 deep, two by two": (lambda: multiplied(15, 2), "more than edge-crnn converts"),
    "models 17 deep": (lambda: nested_deep(18), "nested more than 16 deep"),
    "models 60 deep": (lambda: nested_deep(60), "nested more than 16 deep"),
    "wrappers 300 deep": (lambda: wrapped("TimeDistributed", 300), ""),
    "a chain of 5,000": (lambda: many("ReLU", 5000, (8, 4)), "the model ends in layer 'layer_4999'"),
    "half a billion constants": (lambda: many("Rescaling", 500, (1, 1 << 20), scale=2.0, offset=1.0), "weights"),
    "broadcasting": (bombs, "at most 67,108,864"),
    "a wide call": (wide_call, ""),
    "Reshape": (lambda: single("Reshape", (8, 4), target_shape=[HUGE, HUGE, HUGE]), "'victim'"),
    "Reshape of many axes": (lambda: single("Reshape", (8, 4), target_shape=[8, 4, *[1] * 100_000]), "target_shape"),
    "Reshape to nothing": (lambda: single("Reshape", (8, 4), target_shape=[0, -1]), "target_shape"),
    "RepeatVector": (lambda: functional(
            image(8, 8), layer("Flatten", "flat", "image"), layer("RepeatVector", "victim", "flat", n=HUGE)
        ), "at most 67,108,864"),
    "UpSampling": (
        lambda: single(
            "UpSampling2D",
            (8, 8, 1),
            size=[HUGE, HUGE],
            interpolation="nearest",
            data_format="channels_last",
        ),
        "at most 67,108,864",
    ),
    "UpSampling1D": (lambda: single("UpSampling1D", (8, 8), size=HUGE), "at most 67,108,864"),
    "ZeroPadding": (
        lambda: single("ZeroPadding2D", (8, 8, 1), padding=[[HUGE, HUGE], [HUGE, HUGE]], data_format="channels_last"),
        "at most 67,108,864",
    ),
    "ZeroPadding below nothing": (
        lambda: single("ZeroPadding2D", (8, 8, 1), padding=[[-1, 0], [0, 0]], data_format="channels_last"),
        "padding",
    ),
    "Cropping": (
        lambda: single("Cropping2D", (8, 8, 1), cropping=[[HUGE, HUGE], [0, 0]], data_format="channels_last"),
        "'victim'",
    ),
    "Conv2DTranspose": (
        lambda: single(
            "Conv2DTranspose", (8, 8, 1), filters=HUGE, kernel_size=[HUGE, HUGE], strides=[HUGE, HUGE], use_bias=False,
            padding="valid", data_format="channels_last", dilation_rate=[1, 1], output_padding=None, activation=None,
        ),
        "'victim'",
    ),
    "Conv2D": (
        lambda: single(
            "Conv2D", (8, 8, 1), filters=HUGE, kernel_size=[HUGE, HUGE], strides=[1, 1], use_bias=False, groups=1,
            padding="same", data_format="channels_last", dilation_rate=[HUGE, HUGE], activation=None,
        ),
        "'victim'",
    ),
    "Dense": (lambda: single("Dense", (8, 1 << 20), units=HUGE, use_bias=True, activation=None), "'victim'"),
    "a pool": (
        lambda: single(
            "MaxPooling2D", (8, 8, 1), pool_size=[HUGE, HUGE], strides=[1, 1], padding="same",
            data_format="channels_last",
        ),
        "",
    ),
    "a call that is not there": (missing_call, "call 7 of layer 'relu'"),
    "a call beyond 64 bits": (huge_call, "does not exist"),
    "a layer that is not there": (lambda: functional(image(8, 4), layer("ReLU", "relu", "gone")), "'gone' is used"),
    "an output that is not there": (lambda: functional(image(8, 4), output="gone"), "'gone'"),
    "two of one name": (lambda: functional(image(8, 4), layer("ReLU", "x", "image"), layer("ReLU", "x", "x")), "'x'"),
    "two inputs": (
        lambda: second_input(layer("Add", "sum", "image", "other", listed=True), softmax("sum")),
        "depends on the inputs image, other; expected one",
    ),
    "no input": (lambda: functional(layer("ReLU", "relu"), softmax("relu"), inputs=()), "expected a list of tensors"),
    "an input that is not there": (
        lambda: functional(image(8, 4), layer("ReLU", "relu", "image"), softmax("relu"), inputs=("gone",)), "",
    ),
    "a tensor by keyword": (lambda: keyword("other"), "'relu' (ReLU): takes 2 values, expected one"),
    "a model of two inputs called with one": (nested_inputs, "takes 1 values, expected 2"),
    "a model of no inputs": (nested_without_inputs, "expected a list of tensors"),
    "arguments 700 deep": (deep_arguments, ""),
}  # fmt: skip


def peak_mb() -> float:
    resource = pytest.importorskip("resource")
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / (1 << 20 if sys.platform == "darwin" else 1024)


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["3.10.0", "2.15.0"])
@pytest.mark.parametrize("case", CASES)
def test_at_once_and_in_little_memory(case: str, version: str, tmp_path: Path) -> None:
    build, words = CASES[case]
    config = build() if version.startswith("3") else as_keras2(build())
    path = written(tmp_path, config, version)
    memory = peak_mb()  # others may keep the cores busy
    start = time.process_time()
    try:
        load_graph(path)
    except ModelFileError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert words in message
    else:
        assert not words
    assert time.process_time() - start < MAX_S
    assert peak_mb() - memory < MAX_MEMORY_MB


def as_keras2(config: Entry) -> Entry:
    """The same calls as Keras 2 writes them, which counts the calls of models from 1."""
    layers = config["config"]["layers"]
    models = {entry["name"] for entry in layers if entry["class_name"] == "Functional"}

    def history(value: Any) -> list[Any]:
        name, call, result = value["config"]["keras_history"]
        return [name, call + (name in models), result]

    def call(node: Entry) -> list[Any]:
        tensors = node["args"]
        while tensors and isinstance(tensors[0], list):
            (tensors,) = tensors
        keywords = {name: history(value) for name, value in node["kwargs"].items()}
        return [[*history(value), keywords] for value in tensors]

    for entry in layers:
        entry["inbound_nodes"] = [call(node) for node in entry["inbound_nodes"]]
        if "layers" in entry["config"]:
            as_keras2(entry)
    return config


def test_models_that_are_called_often_are_converted(tmp_path: Path) -> None:
    """The models above are refused only for their size."""
    model = multiplied(3, 4)
    model["config"]["layers"].append(layer("Softmax", "softmax", "inner", axis=-1))
    model["config"]["layers"][-1]["inbound_nodes"][0]["args"] = [tensor("inner", 3, 0)]
    model["config"]["output_layers"] = [["softmax", 0, 0]]
    graph = load_graph(written(tmp_path, model))
    assert sum(isinstance(node, Unary) for node in graph.nodes) == 4**3
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
    assert np.prod(graph.output_shape) == 32
