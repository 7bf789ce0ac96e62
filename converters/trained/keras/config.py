"""A Keras model's configuration → the chain of layers from its image to its output.

The model is walked from its output back along the inbound nodes, so the order of layers in the file does not matter.
What turns a backward recurrent layer's output round (the `Flip` operation, or a Lambda) is recognised by its place
between that layer and the merge with its forward twin. A Lambda's code is never looked at, nor run by the reference of
verification, which is given the same reversal: that the code does reverse is taken on trust. If it does not, both read
labelled images alike, and alike badly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.layers import Array, Function
from .file import layers_of

MAX_SIZE = 1 << 24
"""Of any whole number in a layer's settings, and of an image in values."""

Merge: TypeAlias = Literal["concat", "sum", "average", "product"]

MERGES: dict[str, Merge] = {"Add": "sum", "Average": "average", "Concatenate": "concat", "Multiply": "product"}
RECURRENT = ("GRU", "LSTM", "RNN")
TURNS = ("Flip", "Lambda")
IDENTITIES = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
    "SpatialDropout2D",
)  # fmt: skip
"""Layers that act in training alone."""


@dataclass(frozen=True)
class Node:
    """One layer of the configuration; its settings are read with a check and a clear error each."""

    name: str
    kind: str
    """Its class; with the module where that is not Keras' own."""
    settings: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    keras2: bool = False
    """Whether Keras 2 wrote it, whose `hard_sigmoid` is another function than Keras 3's."""

    def error(self, message: str) -> ModelFileError:
        """An error that names the layer and its class."""
        return ModelFileError(f"layer {self.name!r} ({self.kind}): {message}")

    def get(self, setting: str) -> Any:
        """A setting that must be there."""
        if setting not in self.settings:
            raise self.error(f"no setting {setting!r}; save the model anew with Keras 3")
        return self.settings[setting]

    def expect(self, setting: str, *supported: object) -> None:
        """Refuse any other value of a setting that may be absent."""
        found = self.settings.get(setting, supported[0])
        if found not in supported:
            raise self.error(f"{setting} {found!r}; supported: {', '.join(map(repr, supported))}")

    def flag(self, setting: str) -> bool:
        """True or false."""
        found = self.get(setting)
        if not isinstance(found, bool):
            raise self.error(f"{setting} {found!r}, expected true or false")
        return found

    def sizes(self, setting: str, count: int) -> tuple[int, ...]:
        """`count` positive whole numbers; a single one stands for all."""
        found = self.get(setting)
        sizes = found if isinstance(found, list) else [found] * count
        if len(sizes) != count or not all(type(each) is int and 0 < each <= MAX_SIZE for each in sizes):
            raise self.error(f"{setting} {found!r}, expected {count} whole numbers from 1 to {MAX_SIZE:,}")
        return tuple(sizes)

    def size(self, setting: str) -> int:
        """A positive whole number."""
        return self.sizes(setting, 1)[0]

    def pair(self, setting: str) -> tuple[int, int]:
        """Two positive whole numbers."""
        first, second = self.sizes(setting, 2)
        return first, second

    def numbers(self, setting: str, count: int = 1) -> Array:
        """`count` numbers; a single one stands for all."""
        found = self.get(setting)
        numbers = found if isinstance(found, list) else [found] * count
        if len(numbers) != count or not all(type(each) in (int, float) and abs(each) < 1e30 for each in numbers):
            raise self.error(f"{setting} {found!r}, expected {count} numbers")
        return np.array(numbers, np.float32)

    def function(self, setting: str = "activation") -> Function:
        """An activation by name."""
        found = self.get(setting)
        if found is None:
            return "linear"
        for function in get_args(Function):
            if found == function:
                return function  # type: ignore[no-any-return]
        raise self.error(f"{setting} {found!r}; supported: {', '.join(get_args(Function))}")

    def wrapped(self, setting: str) -> Node:
        """The layer inside a wrapper."""
        return _node(self.get(setting), self.keras2)

    def wrapped_list(self, setting: str) -> list[Node]:
        """The layers inside a wrapper of several."""
        found = self.get(setting)
        if not isinstance(found, list) or not found:
            raise self.error(f"{setting} {found!r}, expected a list of layers")
        return [_node(each, self.keras2) for each in found]


@dataclass(frozen=True)
class Pair:
    """A backward recurrent layer whose output is turned round, merged with its forward twin unless that is None."""

    name: str
    forward: Node | None
    backward: Node
    merge: Merge = "concat"


def chain(config: Mapping[str, Any], keras2: bool = False) -> tuple[Node, list[Node | Pair]]:
    """The InputLayer, and the steps from there to the output, of a model without training head.

    Args:
        config: of the model.
        keras2: whether Keras 2 wrote it.

    Raises:
        ModelFileError: the model is no chain once its bidirectional pairs are recognised.
    """
    nodes = _nodes(config, keras2)
    name = output = _output(config, nodes)
    steps: list[Node | Pair] = []
    while len(steps) <= len(nodes):
        node = _find(nodes, name)
        if not node.inputs:
            if node.kind != "InputLayer":
                raise node.error("starts the model, expected an InputLayer; give the model an Input")
            return node, steps[::-1]
        step, name = _step(nodes, node)
        steps.append(step)
    raise ModelFileError(f"layer {output!r} feeds itself; the file is damaged: save the model anew")


def _nodes(config: Mapping[str, Any], keras2: bool) -> dict[str, Node]:
    layers = layers_of(config)
    kind = config.get("class_name")
    if kind not in ("Functional", "Model", "Sequential"):
        raise ModelFileError(f"model of class {kind!r}; supported: Functional, Sequential")
    nodes: dict[str, Node] = {}
    for layer in layers:
        node = _node(layer, keras2)
        if node.name in nodes:
            raise ModelFileError(f"two layers are named {node.name!r}; save the model anew")
        before = tuple(nodes)[-1:] if kind == "Sequential" else tuple(_inputs(node.name, layer.get("inbound_nodes")))
        nodes[node.name] = replace(node, inputs=before)
    return nodes


def _node(layer: object, keras2: bool) -> Node:
    fields = layer if isinstance(layer, dict) else {}
    settings, kind, module = fields.get("config"), fields.get("class_name"), fields.get("module")
    if not isinstance(settings, dict) or not isinstance(kind, str):
        raise ModelFileError(f"a layer has no class or no settings: {layer!r}")
    if module is not None and str(module).split(".")[0] != "keras":
        kind = f"{module}.{kind}"
    return Node(str(fields.get("name") or settings.get("name")), kind, settings, keras2=keras2)


def _inputs(name: str, calls: object) -> Iterator[str]:
    """Names of the layers whose outputs a layer takes."""
    if not isinstance(calls, list) or len(calls) > 1:
        raise ModelFileError(f"layer {name!r} is used {calls!r}, expected a list of one use: the model must be a chain")
    for call in calls:
        if isinstance(call, dict):
            keywords = call.get("kwargs") or {}
            tensors = [each.get("keras_history") for each in _tensors(call.get("args"))]
        else:  # Keras 2: [[layer, node, tensor, keywords], ...]
            entries = [each for each in call if isinstance(each, list)] if isinstance(call, list) else []
            keywords = {key: value for each in entries if len(each) == 4 for key, value in dict(each[3]).items()}
            tensors = [each[:3] for each in entries]
        if any(True for _ in _tensors(keywords)) or keywords.get("training"):
            raise ModelFileError(f"layer {name!r} is called with {keywords!r}; supported: its input alone")
        for tensor in tensors:
            match tensor:
                case [str(source), 0, 0]:
                    yield source
                case _:
                    raise ModelFileError(f"layer {name!r} takes {tensor!r}, expected the only output of a layer")


def _tensors(value: object) -> Iterator[Mapping[str, Any]]:
    """The configurations of all Keras tensors in a call's arguments."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        if isinstance(value.get("config"), dict):
            yield value["config"]
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def _output(config: Mapping[str, Any], nodes: Mapping[str, Node]) -> str:
    if config.get("class_name") == "Sequential":
        return tuple(nodes)[-1]
    found = config["config"].get("output_layers")
    match found:
        case [str(name), 0, 0] | [[str(name), 0, 0]]:
            return name
    raise ModelFileError(f"outputs {found!r}, expected one: the probabilities (steps, classes)")


def _find(nodes: Mapping[str, Node], name: str) -> Node:
    """The layer of this name, or what feeds it where it acts in training alone."""
    for _ in nodes:
        if name not in nodes:
            raise ModelFileError(f"layer {name!r} is used but not listed; the file is damaged: save the model anew")
        node = nodes[name]
        if node.kind not in IDENTITIES or len(node.inputs) != 1:
            return node
        name = node.inputs[0]
    raise ModelFileError(f"layer {name!r} feeds itself; the file is damaged: save the model anew")


def _step(nodes: Mapping[str, Node], node: Node) -> tuple[Node | Pair, str]:
    """A layer, or the pair that it merges or turns round, and the name of what feeds it."""
    before = [_find(nodes, name) for name in node.inputs]
    if len(before) == 1:
        backward = _turned(nodes, node) if node.kind == "Flip" else None
        return (
            (node, before[0].name) if backward is None else (Pair(node.name, None, backward), _source(nodes, backward))
        )
    match [_turned(nodes, each) for each in before]:
        case [None, Node() as backward]:
            forward = before[0]
        case [Node() as backward, None] if node.kind != "Concatenate":
            forward = before[1]
        case _:
            forward = backward = node
    if node.kind not in MERGES or forward.kind not in RECURRENT or _source(nodes, forward) != _source(nodes, backward):
        takes = ", ".join(f"{each.name} ({each.kind})" for each in before)
        raise node.error(
            f"takes {takes}; supported: {', '.join(MERGES)} of a forward {' or '.join(RECURRENT)} and, second, one"
            " with go_backwards on the same input, turned round by keras.ops.flip or a Lambda"
        )
    if node.kind == "Concatenate":
        node.expect("axis", -1, 2)
    return Pair(node.name, forward, backward, MERGES[node.kind]), _source(nodes, forward)


def _turned(nodes: Mapping[str, Node], node: Node) -> Node | None:
    """The backward recurrent layer whose output this layer turns round, or None."""
    if node.kind not in TURNS or len(node.inputs) != 1:
        return None
    layer = _find(nodes, node.inputs[0])
    if layer.kind not in RECURRENT or layer.settings.get("go_backwards") is not True:
        return None
    if node.kind == "Flip":
        node.expect("axis", 1, -2, [1], [-2])
    return layer


def _source(nodes: Mapping[str, Node], layer: Node) -> str:
    if len(layer.inputs) != 1:
        raise layer.error(f"takes {len(layer.inputs)} inputs, expected one: no initial state")
    return _find(nodes, layer.inputs[0]).name
