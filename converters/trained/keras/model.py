"""A trained Keras CRNN, `.keras` or whole-model `.h5` → graph. Needs no Keras and runs no code found in the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.layers import (
    Activation,
    Affine,
    Cell,
    Conv,
    Dense,
    Gate,
    Graph,
    GruCell,
    Layer,
    LstmCell,
    Padding,
    Permute,
    Pool,
    Recurrent,
    Reshape,
    Shape,
)
from .config import IDENTITIES, MAX_SIZE, MERGES, RECURRENT, TURNS, Merge, Node, Pair, chain
from .file import KerasFile, Part, Weights
from .head import prediction
from .weights import Structure, open_model

ADDED_SOFTMAX = "softmax (added)"
"""Name of the last layer of the graph of a model that ends in logits."""

_WRAPPER_MERGES: dict[str, Merge] = {"concat": "concat", "sum": "sum", "ave": "average", "mul": "product"}
_ITSELF = Part()
_CELL = Part("cell")
_GATES = {"GRU": 3, "GRUCell": 3, "LSTM": 4, "LSTMCell": 4}
"""How many gates of a cell lie side by side in its weights, the candidate counted."""
_MAX_MESSAGE = 1000


@dataclass(frozen=True)
class Network:
    """What a model file holds."""

    graph: Graph
    head: str | None = None
    """Name of the training head that the model ended in, which is left out."""


def load_network(path: Path, structure: Structure | None = None) -> Network:
    """The CRNN in a model file as a graph from image to probabilities.

    A model that ends in logits gets a softmax, named `ADDED_SOFTMAX`.

    Args:
        path: a `.keras` or `.h5` file.
        structure: what a file of weights alone does not say.

    Raises:
        ModelFileError: the file cannot be read, is damaged or hostile, or is no CRNN that can be converted.
    """
    try:
        with open_model(path, structure) as file:
            network = _network(file)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}"[:_MAX_MESSAGE]) from error.__cause__
    except RecursionError as error:
        raise ModelFileError(f"{path}: its configuration is nested too deeply; save the model anew") from error
    return network


def load_graph(path: Path, structure: Structure | None = None) -> Graph:
    """The graph alone of `load_network`."""
    return load_network(path, structure).graph


def _network(file: KerasFile) -> Network:
    config, head = prediction(file.config)
    start, steps = chain(config, file.keras2)
    graph = Graph(_input_shape(start), ())
    shape = graph.input_shape
    for step in steps:
        for layer in _layers(step, shape, file.weights):
            graph = Graph(graph.input_shape, (*graph.layers, layer))
            shape = Graph(shape, (layer,)).output_shape
    if not graph.layers or len(shape) != 2:
        raise ModelFileError(f"the model gives {shape} per image, expected (steps, classes): no CTC recogniser")
    return Network(_with_softmax(graph), head)


def _with_softmax(graph: Graph) -> Graph:
    last = graph.layers[-1]
    function = last.function if isinstance(last, Activation) else "linear"
    if function == "softmax":
        return graph
    if function != "linear" or not isinstance(last, Dense | Affine | Activation):
        raise ModelFileError(f"the model ends in layer {last.name!r}, expected a softmax, or the logits of a Dense")
    return Graph(graph.input_shape, (*graph.layers, Activation(ADDED_SOFTMAX, "softmax")))


def _input_shape(node: Node) -> Shape:
    shape = node.get("batch_shape" if "batch_shape" in node.settings else "batch_input_shape")
    if not isinstance(shape, list) or len(shape) != 4 or not all(type(each) is int and each > 0 for each in shape[1:]):
        raise node.error(f"shape {shape!r}, expected (batch, width, height, channels) of fixed size: build it so")
    if math.prod(shape[1:]) > MAX_SIZE:
        raise node.error(f"shape {shape!r}, expected at most {MAX_SIZE:,} values")
    return tuple(shape[1:])


def _layers(step: Node | Pair, shape: Shape, weights: Weights) -> list[Layer]:
    """What a step of the chain is in the graph."""
    if isinstance(step, Pair):
        forward = [] if step.forward is None else _cells(step.forward, shape, weights, backward=False)
        return _recurrent(step.name, forward, _cells(step.backward, shape, weights, backward=True), step.merge)
    if step.kind in _LAYERS:
        return _LAYERS[step.kind](step, shape, weights)
    if step.kind == "Lambda":
        raise step.error(
            "code in a model file is never run; supported: a Lambda that turns a backward LSTM round on its way to the"
            " merge. Replace any other by a Keras layer and save the model anew"
        )
    raise step.error(f"not supported; supported: {', '.join(KINDS)}")


def _conv(node: Node, shape: Shape, weights: Weights) -> list[Layer]:
    _check_channels_last(node)
    node.expect("groups", 1)
    node.expect("dilation_rate", [1, 1], 1)
    kernel, bias = _linear(node, (*node.pair("kernel_size"), shape[-1], node.size("filters")), weights)
    return [Conv(node.name, kernel, bias, node.pair("strides"), _padding(node)), *_activation(node)]


def _dense(node: Node, shape: Shape, weights: Weights) -> list[Layer]:
    return [Dense(node.name, *_linear(node, (shape[-1], node.size("units")), weights)), *_activation(node)]


def _linear(
    node: Node, kernel: Shape, weights: Weights, owner: str | None = None, part: Part = _ITSELF
) -> tuple[Any, Any]:
    roles = {"kernel": kernel, **({"bias": kernel[-1:]} if node.flag("use_bias") else {})}
    arrays = weights.read(owner or node.name, part, roles)
    return arrays["kernel"], arrays.get("bias", np.zeros(kernel[-1], np.float32))


def _activation(node: Node, owner: str | None = None) -> list[Layer]:
    function = node.function()
    return [] if function == "linear" else [Activation(f"{owner or node.name}/{function}", function)]


def _activation_layer(node: Node, _: Shape, __: Weights) -> list[Layer]:
    return [Activation(node.name, node.function())]


def _norm(node: Node, shape: Shape, weights: Weights) -> list[Layer]:
    """Ioffe and Szegedy 2015, at inference: scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale."""
    node.expect("axis", -1, len(shape), [-1], [len(shape)])
    there = {"gamma": node.flag("scale"), "beta": node.flag("center"), "moving_mean": True, "moving_variance": True}
    read = weights.read(node.name, _ITSELF, {role: shape[-1:] for role, stored in there.items() if stored})
    arrays = {role: array.astype(np.float64) for role, array in read.items()}
    variance = arrays["moving_variance"] + node.numbers("epsilon")
    if not (variance > 0).all():
        raise node.error("a variance is not positive; the file is damaged: save the model anew")
    scale = arrays.get("gamma", np.ones(shape[-1])) / np.sqrt(variance)
    shift = arrays.get("beta", np.zeros(shape[-1])) - arrays["moving_mean"] * scale
    with np.errstate(over="ignore"):
        norm = Affine(node.name, scale.astype(np.float32), shift.astype(np.float32))
    if not (np.isfinite(norm.scale).all() and np.isfinite(norm.shift).all()):
        raise node.error("its weights are too large for float32; the file is damaged: save the model anew")
    return [norm]


def _rescaling(node: Node, shape: Shape, _: Weights) -> list[Layer]:
    return [Affine(node.name, node.numbers("scale", shape[-1]), node.numbers("offset", shape[-1]))]


def _relu(node: Node, _: Shape, __: Weights) -> list[Layer]:
    node.expect("negative_slope", 0, None)
    node.expect("threshold", 0, None)
    node.expect("max_value", None, 6)
    return [Activation(node.name, "relu" if node.settings.get("max_value") is None else "relu6")]


def _softmax(node: Node, shape: Shape, _: Weights) -> list[Layer]:
    node.expect("axis", -1, len(shape), [-1])
    return [Activation(node.name, "softmax")]


def _pool(node: Node, _: Shape, __: Weights) -> list[Layer]:
    _check_channels_last(node)
    strides = node.pair("pool_size" if node.settings.get("strides") is None else "strides")
    return [
        Pool(
            node.name,
            "max" if node.kind == "MaxPooling2D" else "average",
            node.pair("pool_size"),
            strides,
            _padding(node),
        )
    ]


def _reshape(node: Node, shape: Shape, _: Weights) -> list[Layer]:
    target = node.get("target_shape")
    sizes = target if isinstance(target, list) else []
    if not sizes or sizes.count(-1) > 1 or not all(type(each) is int and (each > 0 or each == -1) for each in sizes):
        raise node.error(f"target_shape {target!r}, expected positive whole numbers and -1 once at most")
    rest = math.prod(shape) // math.prod(each for each in sizes if each > 0)
    return [Reshape(node.name, tuple(rest if each == -1 else each for each in sizes))]


def _permute(node: Node, shape: Shape, _: Weights) -> list[Layer]:
    return [Permute(node.name, tuple(each - 1 for each in node.sizes("dims", len(shape))))]


def _time_distributed(node: Node, shape: Shape, weights: Weights) -> list[Layer]:
    inner = node.wrapped("layer")
    if inner.kind == "Dense":
        kernel = (shape[-1], inner.size("units"))
        arrays = _linear(inner, kernel, weights, node.name, Part("layer", inner.name))
        return [Dense(node.name, *arrays), *_activation(inner, node.name)]
    if inner.kind == "Flatten":
        return [Reshape(node.name, (shape[0], math.prod(shape[1:])))]
    raise node.error(f"holds {inner.kind}; supported: Dense, Flatten")


def _one_way(node: Node, shape: Shape, weights: Weights) -> list[Layer]:
    return _recurrent(node.name, _cells(node, shape, weights, backward=False), [])


def _bidirectional(node: Node, shape: Shape, weights: Weights) -> list[Layer]:
    merge = node.get("merge_mode")
    if not isinstance(merge, str) or merge not in _WRAPPER_MERGES:
        raise node.error(f"merge_mode {merge!r}; supported: {', '.join(_WRAPPER_MERGES)}")
    forward = node.wrapped("layer")
    if node.keras2:  # whose configuration has the names from before they are wrapped
        forward = replace(forward, name=f"forward_{forward.name}")
    if node.settings.get("backward_layer"):
        backward = node.wrapped("backward_layer")
        if node.keras2:
            backward = replace(backward, name=f"backward_{backward.name}")
    else:  # Keras 2 writes it only where it is not the forward one's mirror image
        name = "backward_" + forward.name.removeprefix("forward_")
        backward = replace(forward, name=name, settings={**forward.settings, "go_backwards": True})
    cells = {
        direction: _cells(
            each, shape, weights, direction == "backward", node.name, Part(f"{direction}_layer/cell", each.name)
        )
        for direction, each in (("forward", forward), ("backward", backward))
    }
    return _recurrent(node.name, cells["forward"], cells["backward"], _WRAPPER_MERGES[merge])


def _recurrent(name: str, forward: list[Cell], backward: list[Cell], merge: Merge = "concat") -> list[Layer]:
    """Cells upon one another, in one direction or both.

    Each direction is a stack of its own until the merge at the top. In a chain, pairs are concatenated on the way up,
    and a cell has weights of 0 for what the other direction gives.
    """
    if forward and backward and len(forward) != len(backward):
        raise ModelFileError(f"layer {name!r}: {len(forward)} cells forward and {len(backward)} backward")
    pairs = list(zip_longest(forward, backward))
    layers: list[Layer] = []
    beside = (0, 0)
    for depth, (first, second) in enumerate(pairs, 1):
        cells = _widened(first, (0, beside[1])), _widened(second, (beside[0], 0))
        top = depth == len(pairs)
        layers.append(Recurrent(name if top else f"{name}/{depth}", *cells, merge if top else "concat"))
        beside = first.units if first else 0, second.units if second else 0
    return layers


def _widened(cell: Cell | None, rows: tuple[int, int]) -> Cell | None:
    return cell and replace(cell, kernel=np.pad(cell.kernel, (rows, (0, 0))))


def _cells(
    node: Node, shape: Shape, weights: Weights, backward: bool, owner: str | None = None, part: Part = _CELL
) -> list[Cell]:
    """The cells of a layer, the one that sees the layer's input first."""
    if node.kind not in RECURRENT:
        raise node.error(f"not supported here; supported: {', '.join(RECURRENT)}")
    if node.flag("go_backwards") != backward:
        raise node.error(
            "expected go_backwards"
            if backward
            else "go_backwards gives the steps in reverse; turn its output round by keras.ops.flip(x, axis=1)"
        )
    if not node.flag("return_sequences"):
        raise node.error("gives its last step alone; set return_sequences=True")
    for setting in ("return_state", "stateful", "time_major"):
        node.expect(setting, False)
    owner, inner = owner or node.name, node.wrapped("cell") if node.kind == "RNN" else node
    if inner.kind != "StackedRNNCells":
        return [_cell(inner, shape[-1], weights, owner, part)]
    stack = inner.wrapped_list("cells")
    kinds = [each.kind for each in stack]
    cells: list[Cell] = []
    for index, each in enumerate(stack):
        number = kinds[:index].count(each.kind)
        container = each.kind.lower().replace("cell", f"_cell_{number}" if number else "_cell")
        place = Part(f"{part.attributes}/cells/{container}", f"{part.name}/{each.name}".lstrip("/"))
        cells.append(_cell(each, cells[-1].units if cells else shape[-1], weights, owner, place))
    return cells


def _cell(node: Node, width: int, weights: Weights, owner: str, part: Part) -> Cell:
    if node.kind not in _GATES:
        raise node.error(f"not supported here; supported: {', '.join(_GATES)}")
    if (found := node.get("activation")) != "tanh":
        raise node.error(f"activation {found!r}; supported: 'tanh'")
    function, factor = _gate(node, node.keras2)
    gates, units = _GATES[node.kind], node.size("units")
    reset_after = gates == 3 and node.flag("reset_after")
    roles: dict[str, Shape] = {"kernel": (width, gates * units), "recurrent_kernel": (units, gates * units)}
    if node.flag("use_bias"):
        roles["bias"] = (2, gates * units) if reset_after else (gates * units,)
    factors = np.repeat(np.array([factor, factor, 1, factor][:gates], np.float32), units)  # the candidate is no gate
    arrays = {role: array * factors for role, array in weights.read(owner, part, roles).items()}
    kernel, recurrent = arrays["kernel"], arrays["recurrent_kernel"]
    bias = arrays.get("bias", np.zeros((2, len(factors)) if reset_after else len(factors), np.float32))
    if gates == 4:
        return LstmCell(kernel, recurrent, bias, function)
    if not reset_after:
        return GruCell(kernel, recurrent, bias, None, function)
    outside, inside = bias
    outside[: 2 * units] += inside[: 2 * units]  # only the candidate's is multiplied by the reset gate
    return GruCell(kernel, recurrent, outside, inside[2 * units :], function)


def _gate(node: Node, keras2: bool) -> tuple[Gate, float]:
    """The gates' function, and by what its argument is multiplied first.

    Keras 3's hard_sigmoid, relu6(x + 3) / 6, is the one of Keras 2, clip(0.2 y + 0.5) to 0..1, of y = x / 1.2.
    """
    match node.get("recurrent_activation"):
        case "sigmoid":
            return "sigmoid", 1.0
        case "hard_sigmoid":
            return "hard_sigmoid_keras2", 1.0 if keras2 else 1 / 1.2
        case found:
            raise node.error(f"recurrent_activation {found!r}; supported: 'sigmoid', 'hard_sigmoid'")


def _padding(node: Node) -> Padding:
    found = node.get("padding")
    for padding in get_args(Padding):
        if found == padding:
            return padding  # type: ignore[no-any-return]
    raise node.error(f"padding {found!r}; supported: {', '.join(get_args(Padding))}")


def _check_channels_last(node: Node) -> None:
    node.expect("data_format", "channels_last", None)


_LAYERS: dict[str, Callable[[Node, Shape, Weights], list[Layer]]] = {
    "Activation": _activation_layer,
    "AveragePooling2D": _pool,
    "BatchNormalization": _norm,
    "Bidirectional": _bidirectional,
    "Conv2D": _conv,
    "Dense": _dense,
    "GRU": _one_way,
    "LSTM": _one_way,
    "MaxPooling2D": _pool,
    "Permute": _permute,
    "RNN": _one_way,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "TimeDistributed": _time_distributed,
}

KINDS = tuple(sorted({*_LAYERS, *IDENTITIES, *MERGES, *TURNS}))
"""Layers of Keras that a model may have."""
