"""A trained Keras CRNN, `.keras` or whole-model `.h5` → graph; runs no code found in the file, needs no Keras.

The model is walked from its output back to its image along the inbound nodes, so the order of layers in the file does
not matter. What turns a backward LSTM's output round (the `Flip` operation, or a Lambda) is recognised by its place
between that LSTM and the merge with its forward twin: a Lambda's code is never looked at, and verification against real
Keras is what shows that it did reverse.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from edge_crnn.errors import ModelFileError

from .graph import (
    Activation,
    Affine,
    Cell,
    Conv,
    Dense,
    Function,
    Graph,
    Layer,
    Padding,
    Permute,
    Pool,
    Recurrent,
    Reshape,
    Shape,
)
from .keras_file import KerasFile, Part, Weights, layers_of, open_keras_file

_log = logging.getLogger(__name__)

_MAX_SIZE = 1 << 24
"""Of any number in a layer's settings."""

Merge: TypeAlias = Literal["concat", "sum", "average", "product"]

_WRAPPER_MERGES: dict[str, Merge] = {"concat": "concat", "sum": "sum", "ave": "average", "mul": "product"}
_MERGES: dict[str, Merge] = {
    "Concatenate": "concat",
    "Add": "sum",
    "Average": "average",
    "Multiply": "product",
}
_TURNS = ("Flip", "Lambda")
_IDENTITIES = (
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D",
    "SpatialDropout2D",
)  # fmt: skip


def load_graph(path: Path) -> Graph:
    """The CRNN in a model file as a graph from image to probabilities.

    A model that ends in logits gets a softmax, with a line in the log.

    Raises:
        ModelFileError: the file cannot be read, is damaged or hostile, or is no CRNN that can be converted.
    """
    try:
        with open_keras_file(path) as file:
            return _graph(file, str(path))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error.__cause__


@dataclass(frozen=True)
class _Node:
    """One layer of the file's configuration."""

    name: str
    kind: str
    """Its class; with the module where that is not Keras' own."""
    settings: Mapping[str, Any]
    inputs: tuple[str, ...]

    def error(self, message: str) -> ModelFileError:
        return ModelFileError(f"layer {self.name!r} ({self.kind}): {message}")

    def get(self, setting: str) -> Any:
        if setting not in self.settings:
            raise self.error(f"no setting {setting!r}; save the model anew with Keras 3")
        return self.settings[setting]

    def expect(self, setting: str, *allowed: object) -> None:
        """A setting that may be absent, and otherwise must be one of these."""
        found = self.settings.get(setting, allowed[0])
        if found not in allowed:
            raise self.error(f"{setting} {found!r}; supported: {', '.join(map(repr, allowed))}")

    def flag(self, setting: str) -> bool:
        found = self.get(setting)
        if not isinstance(found, bool):
            raise self.error(f"{setting} {found!r}, expected true or false")
        return found

    def size(self, setting: str) -> int:
        return self.sizes(setting, 1)[0]

    def sizes(self, setting: str, count: int) -> tuple[int, ...]:
        """`count` positive whole numbers; a single one stands for all."""
        found = self.get(setting)
        numbers = found if isinstance(found, list) else [found] * count
        if len(numbers) != count or not all(type(each) is int and 0 < each <= _MAX_SIZE for each in numbers):
            raise self.error(
                f"{setting} {found!r}, expected {count} whole number{'s'[: count > 1]} from 1 to {_MAX_SIZE:,}"
            )
        return tuple(numbers)

    def numbers(self, setting: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        found = self.get(setting)
        numbers = found if isinstance(found, list) else [found]
        if not all(type(each) in (int, float) and abs(each) < 1e30 for each in numbers):
            raise self.error(f"{setting} {found!r}, expected numbers")
        return np.array(numbers, np.float32)

    def function(self, setting: str = "activation") -> Function:
        found = self.get(setting)
        if found is None:
            return "linear"
        for function in get_args(Function):
            if found == function:
                return function  # type: ignore[no-any-return]
        raise self.error(f"{setting} {found!r}; supported: {', '.join(get_args(Function))}"[:500])

    def wrapped(self, setting: str, name: str | None = None) -> _Node:
        """The layer inside a wrapper; it says its own name in errors."""
        return _node(self.get(setting), {"name": name} if name else {})


def _graph(file: KerasFile, origin: str) -> Graph:
    nodes = _nodes(file.config)
    chain = _chain(nodes, _output(file.config, nodes))
    shape = _input_shape(next(chain))
    graph = Graph(shape, ())
    for step in chain:
        for layer in _lowered(step, shape, file.weights):
            graph = Graph(graph.input_shape, (*graph.layers, layer))
            shape = Graph(shape, (layer,)).output_shape
    return _with_softmax(graph, origin)


def _with_softmax(graph: Graph, origin: str) -> Graph:
    if not graph.layers or len(graph.output_shape) != 2:
        raise ModelFileError(
            "the model gives no (steps, classes) per image; name the model up to its softmax"
        )
    last = graph.layers[-1]
    function = last.function if isinstance(last, Activation) else "linear"
    if function == "softmax":
        return graph
    if function != "linear" or not isinstance(last, Dense | Affine | Activation):
        raise ModelFileError(
            f"layer {last.name!r}: the model ends in {function}, expected softmax, or logits of a Dense"
        )
    _log.warning("%s ends in logits (layer %r): a softmax is added", origin, last.name)
    return Graph(graph.input_shape, (*graph.layers, Activation(f"{last.name}/softmax", "softmax")))


# From the configuration to a chain of nodes.


def _nodes(config: Mapping[str, Any]) -> dict[str, _Node]:
    layers = layers_of(config)
    if config.get("class_name") == "Sequential":
        return _sequential(layers)
    if config.get("class_name") not in ("Functional", "Model"):
        raise ModelFileError(
            f"model of class {config.get('class_name')!r}; supported: Functional, Sequential"
        )
    nodes = {layer["name"]: _node(layer) for layer in layers}
    if len(nodes) != len(layers):
        raise ModelFileError("two layers have the same name; save the model anew")
    return nodes


def _sequential(layers: list[dict[str, Any]]) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    for layer in layers:
        node = _node(layer)
        nodes[node.name] = _Node(node.name, node.kind, node.settings, tuple(nodes)[-1:])
    return nodes


def _output(config: Mapping[str, Any], nodes: Mapping[str, _Node]) -> str:
    if config.get("class_name") == "Sequential":
        return tuple(nodes)[-1]
    found = config["config"].get("output_layers")
    match found:
        case [str(name), 0, 0] | [[str(name), 0, 0]] if name in nodes:
            return name
    raise ModelFileError(f"outputs {found!r}, expected one: the probabilities (steps, classes)"[:500])


def _node(layer: object, extra: Mapping[str, object] | None = None) -> _Node:
    layer = {**layer, **(extra or {})} if isinstance(layer, dict) else {}
    settings, kind, module = layer.get("config"), layer.get("class_name"), layer.get("module")
    if not isinstance(settings, dict) or not isinstance(kind, str):
        raise ModelFileError(f"a layer has no class or no settings: {str(layer)[:100]}")
    name = str(layer.get("name") or settings.get("name"))
    if module is not None and str(module).split(".")[0] != "keras":
        kind = f"{module}.{kind}"
    return _Node(name, kind, settings, tuple(_inputs(name, layer.get("inbound_nodes") or [])))


def _inputs(name: str, calls: object) -> Iterator[str]:
    """Names of the layers whose outputs a layer takes."""
    if not isinstance(calls, list) or len(calls) > 1:
        raise ModelFileError(f"layer {name!r} is used more than once; supported: layers in a chain")
    for call in calls:
        if isinstance(call, dict):
            keywords = call.get("kwargs") or {}
            tensors = [each.get("keras_history") for each in _tensors(call.get("args"))]
            named = any(True for _ in _tensors(keywords))
        else:  # Keras 2: [[layer, node, tensor, keywords], ...]
            entries = call if isinstance(call, list) else [call]
            tensors = [each[:3] if isinstance(each, list) else None for each in entries]
            keywords = {
                key: value for each in entries if isinstance(each, list) for key, value in _keywords(each)
            }
            named = False
        if named or keywords.get("training"):
            raise ModelFileError(
                f"layer {name!r} is called with a keyword that changes it; supported: its input alone"
            )
        for tensor in tensors:
            match tensor:
                case [str(source), 0, 0]:
                    yield source
                case _:
                    raise ModelFileError(
                        f"layer {name!r} takes {tensor!r}, expected the only output of a layer"[:500]
                    )


def _keywords(entry: list[Any]) -> Iterator[tuple[str, Any]]:
    if len(entry) > 3 and isinstance(entry[3], dict):
        yield from entry[3].items()


def _tensors(value: object) -> Iterator[Mapping[str, Any]]:
    """The configurations of all Keras tensors in a call's arguments."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__" and isinstance(value.get("config"), dict):
            yield value["config"]
        else:
            value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _tensors(each)


@dataclass(frozen=True)
class _Pair:
    """A backward LSTM turned round, and the forward one that it is merged with."""

    name: str
    forward: _Node | None
    backward: _Node
    merge: Merge


def _chain(nodes: Mapping[str, _Node], output: str) -> Iterator[_Node | _Pair]:
    """From the input to the output, hand-wired pairs as one step."""
    steps: list[_Node | _Pair] = []
    name = output
    while len(steps) <= len(nodes):
        node = _by_name(nodes, name)
        if not node.inputs:
            return iter([node, *reversed(steps)])
        step, name = _step(nodes, node)
        steps.append(step)
    raise ModelFileError(f"layer {output!r} feeds itself; the file is damaged: save the model anew")


def _by_name(nodes: Mapping[str, _Node], name: str) -> _Node:
    if name not in nodes:
        raise ModelFileError(
            f"layer {name!r} is used but not listed; the file is damaged: save the model anew"
        )
    return nodes[name]


def _step(nodes: Mapping[str, _Node], node: _Node) -> tuple[_Node | _Pair, str]:
    """A node, or the pair that it merges, and the name of what feeds it."""
    before = [_by_name(nodes, name) for name in node.inputs]
    if node.kind == "Flip" and len(before) == 1 and _is_backward(before[0]):
        _check_turn(node)
        return _Pair(node.name, None, before[0], "concat"), _source(before[0])
    if len(before) == 1 and node.kind not in _MERGES:
        return node, node.inputs[0]
    turned = [_turned(nodes, each) for each in before]
    match turned:
        case [None, _Node() as backward]:
            forward = before[0]
        case [_Node() as backward, None] if node.kind != "Concatenate":
            forward = before[1]
        case _:
            forward = backward = node
    if node.kind not in _MERGES or forward.kind != "LSTM" or forward.inputs != backward.inputs:
        raise node.error(
            f"takes {', '.join(node.inputs)}; supported: {', '.join(_MERGES)} of a forward LSTM and, second, an LSTM with"
            " go_backwards on the same input, turned round by keras.ops.flip or a Lambda"
        )
    node.expect("axis", -1, 2)
    return _Pair(node.name, forward, backward, _MERGES[node.kind]), _source(forward)


def _turned(nodes: Mapping[str, _Node], node: _Node) -> _Node | None:
    """The backward LSTM whose output this node turns round, or None."""
    if node.kind not in _TURNS or len(node.inputs) != 1:
        return None
    lstm = _by_name(nodes, node.inputs[0])
    if not _is_backward(lstm):
        return None
    _check_turn(node)
    return lstm


def _check_turn(node: _Node) -> None:
    if node.kind == "Flip":
        node.expect("axis", 1, [1], -2, [-2])


def _is_backward(node: _Node) -> bool:
    return node.kind == "LSTM" and node.settings.get("go_backwards") is True


def _source(node: _Node) -> str:
    if len(node.inputs) != 1:
        raise node.error(f"takes {len(node.inputs)} inputs, expected one: no initial state")
    return node.inputs[0]


def _input_shape(step: _Node | _Pair) -> Shape:
    if isinstance(step, _Pair) or step.kind != "InputLayer":
        raise ModelFileError(
            f"the model starts at {step.name!r}, expected an InputLayer; give the first layer an Input"
        )
    setting = "batch_shape" if "batch_shape" in step.settings else "batch_input_shape"
    shape = step.get(setting)
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(type(each) is int and each > 0 for each in shape[1:])
    ):
        raise step.error(
            f"shape {shape!r}, expected a fixed (batch, width, height, channels): build the model with it"
        )
    if np.prod(shape[1:], dtype=float) > _MAX_SIZE:
        raise step.error(f"shape {shape!r}; at most {_MAX_SIZE:,} values are taken")
    return tuple(shape[1:])


# From a node to layers of the graph.


def _lowered(step: _Node | _Pair, shape: Shape, weights: Weights) -> list[Layer]:
    if isinstance(step, _Pair):
        cells = [
            None if node is None else _cell(node, shape, weights) for node in (step.forward, step.backward)
        ]
        return [Recurrent(step.name, *cells, step.merge)]
    if step.kind in _IDENTITIES:
        return []
    if step.kind not in _LAYERS:
        if step.kind == "Lambda":
            raise step.error(
                "code in a model file is never run; supported: a Lambda that turns a backward LSTM round, on its way to"
                " the merge: replace any other by a Keras layer, and save the model anew"
            )
        known = sorted({*_LAYERS, *_IDENTITIES, *_MERGES, "InputLayer", "Flip"})
        raise step.error(f"not supported; supported: {', '.join(known)}")
    return _LAYERS[step.kind](step, shape, weights)


def _conv(node: _Node, shape: Shape, weights: Weights) -> list[Layer]:
    _channels_last(node)
    node.expect("groups", 1)
    node.expect("dilation_rate", [1, 1], 1)
    height, width = node.sizes("kernel_size", 2)
    kernel = (height, width, shape[-1], node.size("filters"))
    arrays = _linear(node, kernel, weights, Part())
    strides = node.sizes("strides", 2)
    layer = Conv(node.name, *arrays, strides=(strides[0], strides[1]), padding=_padding(node))
    return [layer, *_activation(node, f"{node.name}/activation")]


def _dense(node: _Node, shape: Shape, weights: Weights, owner: str = "", part: Part = Part()) -> list[Layer]:  # noqa: B008
    arrays = _linear(node, (shape[-1], node.size("units")), weights, part, owner)
    return [Dense(owner or node.name, *arrays), *_activation(node, f"{owner or node.name}/activation")]


def _linear(node: _Node, kernel: Shape, weights: Weights, part: Part, owner: str = "") -> tuple[Any, Any]:
    roles = {"kernel": kernel} | ({"bias": kernel[-1:]} if node.flag("use_bias") else {})
    arrays = weights.read(owner or node.name, part, roles)
    return arrays["kernel"], arrays.get("bias", np.zeros(kernel[-1], np.float32))


def _activation(node: _Node, name: str) -> list[Layer]:
    function = node.function()
    return [] if function == "linear" else [Activation(name, function)]


def _norm(node: _Node, shape: Shape, weights: Weights) -> list[Layer]:
    node.expect("axis", -1, len(shape), [len(shape)], [-1])
    size = shape[-1:]
    optional = {"gamma": node.flag("scale"), "beta": node.flag("center")}
    roles = {role: size for role, there in optional.items() if there} | {
        "moving_mean": size,
        "moving_variance": size,
    }
    arrays = {
        role: array.astype(np.float64) for role, array in weights.read(node.name, Part(), roles).items()
    }
    variance = arrays["moving_variance"] + node.numbers("epsilon")
    if not (variance > 0).all():
        raise node.error("a variance is not positive; the file is damaged: save the model anew")
    scale = arrays.get("gamma", np.ones(size)) / np.sqrt(variance)
    shift = arrays.get("beta", np.zeros(size)) - arrays["moving_mean"] * scale
    return [Affine(node.name, scale.astype(np.float32), shift.astype(np.float32))]


def _rescaling(node: _Node, shape: Shape, _: Weights) -> list[Layer]:
    scale, shift = (np.broadcast_to(node.numbers(each), shape[-1:]) for each in ("scale", "offset"))
    return [Affine(node.name, scale, shift)]


def _relu(node: _Node, _: Shape, __: Weights) -> list[Layer]:
    node.expect("negative_slope", 0.0, None)
    node.expect("threshold", 0.0, None)
    node.expect("max_value", None, 6.0)
    return [Activation(node.name, "relu" if node.settings.get("max_value") is None else "relu6")]


def _softmax(node: _Node, shape: Shape, _: Weights) -> list[Layer]:
    node.expect("axis", -1, len(shape), [-1])
    return [Activation(node.name, "softmax")]


def _pool(node: _Node, _: Shape, __: Weights) -> list[Layer]:
    _channels_last(node)
    height, width = node.sizes("pool_size", 2)
    strides = node.sizes("strides" if node.settings.get("strides") is not None else "pool_size", 2)
    kind: Literal["max", "average"] = "max" if node.kind == "MaxPooling2D" else "average"
    return [Pool(node.name, kind, (height, width), (strides[0], strides[1]), _padding(node))]


def _reshape(node: _Node, shape: Shape, _: Weights) -> list[Layer]:
    target = node.get("target_shape")
    if not isinstance(target, list) or not all(
        type(each) is int and (each > 0 or each == -1) for each in target
    ):
        raise node.error(f"target_shape {target!r}, expected whole numbers, one of them -1 at most")
    known = int(np.prod([each for each in target if each != -1], dtype=float))
    rest = int(np.prod(shape)) // known if known else 0
    if target.count(-1) > 1:
        raise node.error(f"target_shape {target!r}, expected -1 once at most")
    return [Reshape(node.name, tuple(rest if each == -1 else each for each in target))]


def _permute(node: _Node, shape: Shape, _: Weights) -> list[Layer]:
    return [Permute(node.name, tuple(each - 1 for each in node.sizes("dims", len(shape))))]


def _time_distributed(node: _Node, shape: Shape, weights: Weights) -> list[Layer]:
    inner = node.wrapped("layer")
    if inner.kind == "Dense":
        return _dense(inner, shape, weights, node.name, Part("layer", inner.name))
    if inner.kind == "Flatten" and len(shape) > 1:
        return [Reshape(node.name, (shape[0], int(np.prod(shape[1:]))))]
    raise node.error(f"holds {inner.kind}; supported: Dense, Flatten")


def _lstm(node: _Node, shape: Shape, weights: Weights) -> list[Layer]:
    if node.flag("go_backwards"):
        raise node.error(
            "go_backwards gives the steps in reverse order; turn its output round with keras.ops.flip(x, 1)"
        )
    return [Recurrent(node.name, _cell(node, shape, weights), None)]


def _bidirectional(node: _Node, shape: Shape, weights: Weights) -> list[Layer]:
    merge = node.get("merge_mode")
    if merge not in _WRAPPER_MERGES:
        raise node.error(f"merge_mode {merge!r}; supported: {', '.join(_WRAPPER_MERGES)}")
    forward = node.wrapped("layer")
    backward = node.wrapped("backward_layer") if node.settings.get("backward_layer") else forward
    if backward is forward:  # Keras 2 writes the second only where it differs
        name = "backward_" + forward.name.removeprefix("forward_")
        backward = _Node(name, forward.kind, {**forward.settings, "go_backwards": True}, ())
    if {forward.kind, backward.kind} != {"LSTM"} or _is_backward(forward) or not _is_backward(backward):
        raise node.error(
            f"holds {forward.kind} and {backward.kind}; supported: a forward LSTM and a backward one"
        )
    cells = [
        _cell(each, shape, weights, node.name, Part(f"{direction}_layer/cell", each.name))
        for direction, each in (("forward", forward), ("backward", backward))
    ]
    return [Recurrent(node.name, *cells, _WRAPPER_MERGES[merge])]


def _cell(node: _Node, shape: Shape, weights: Weights, owner: str = "", part: Part = Part("cell")) -> Cell:  # noqa: B008
    node.expect("return_sequences", True)
    node.expect("return_state", False)
    node.expect("stateful", False)
    node.expect("time_major", False)
    if (node.get("activation"), node.get("recurrent_activation")) != ("tanh", "sigmoid"):
        found = f"{node.get('activation')!r} and {node.get('recurrent_activation')!r}"
        raise node.error(
            f"activation and recurrent_activation {found}; supported: 'tanh' and 'sigmoid'"[:500]
        )
    units = node.size("units")
    roles = {"kernel": (shape[-1], 4 * units), "recurrent_kernel": (units, 4 * units)}
    if node.flag("use_bias"):
        roles["bias"] = (4 * units,)  # type: ignore[assignment]
    arrays = weights.read(owner or node.name, part, roles)
    return Cell(
        arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias", np.zeros(4 * units, np.float32))
    )


def _padding(node: _Node) -> Padding:
    padding = node.get("padding")
    for known in get_args(Padding):
        if padding == known:
            return known  # type: ignore[no-any-return]
    raise node.error(f"padding {padding!r}; supported: {', '.join(get_args(Padding))}")


def _channels_last(node: _Node) -> None:
    node.expect("data_format", "channels_last", None)


_LAYERS: dict[str, Callable[[_Node, Shape, Weights], list[Layer]]] = {
    "Activation": lambda node, _shape, _weights: _activation(node, node.name),
    "AveragePooling2D": _pool,
    "BatchNormalization": _norm,
    "Bidirectional": _bidirectional,
    "Conv2D": _conv,
    "Dense": _dense,
    "LSTM": _lstm,
    "MaxPooling2D": _pool,
    "Permute": _permute,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "TimeDistributed": _time_distributed,
}
