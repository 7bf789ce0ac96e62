"""Turns a TensorFlow 1 checkpoint of the digits network into a graph.

The checkpoint has variables only, so the network is recognised by their names, which its code gives:
seven `tf.layers.conv2d`, two `tf.layers.batch_normalization`, two `tf.nn.bidirectional_dynamic_rnn` of `BasicLSTMCell`
in scopes of their own, and the variables `W` and `b` of the logits. Widths are those of the variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_crnn.errors import ModelFileError

from ...graph.cells import Array, LstmCell
from ...graph.graph import Graph
from ...graph.nodes import NO_PADS, Affine, Conv, Dense, Node, Pool, Recurrent, Reshape, Shape, Softmax, same_pads
from ..keras.model import ADDED_SOFTMAX
from .checkpoint import Checkpoint

INPUT_SHAPE: Shape = (100, 32, 1)
"""Width, height, channels of the network as published; the width is free, the height must shrink to 1."""
NORM_EPSILON = 1e-3
"""Default of `tf.layers.batch_normalization`."""
FORGET_BIAS = 1.0
"""Default of `BasicLSTMCell`, which adds it when it runs."""
CONVOLUTIONS = ("conv2d", *(f"conv2d_{number}" for number in range(1, 7)))
NORMS = ("batch_normalization", "batch_normalization_1")
CELLS = tuple(
    tuple(f"bidirectional-rnn-{number}/bidirectional_rnn/{direction}/basic_lstm_cell" for direction in ("fw", "bw"))
    for number in (1, 2)
)
_VARIABLES = (
    *(f"{layer}/{role}" for layer in CONVOLUTIONS for role in ("kernel", "bias")),
    *(f"{layer}/{role}" for layer in NORMS for role in ("gamma", "beta", "moving_mean", "moving_variance")),
    *(f"{cell}/{role}" for pair in CELLS for cell in pair for role in ("kernel", "bias")),
    "W",
    "b",
)
_OF_TRAINING = re.compile(rf"({'|'.join(map(re.escape, _VARIABLES))})/.+|beta[12]_power|global_step")
"""Variables that an optimiser keeps, which are ignored."""


def load_tf1_graph(index: Path, input_shape: Shape = INPUT_SHAPE) -> Graph:
    """Load the network in the checkpoint NAME, whose index is NAME.index, as a graph from image to probabilities.

    The logits get a softmax, named `ADDED_SOFTMAX`. All steps of an image are used, as if the sequence length that
    `bidirectional_dynamic_rnn` takes were the number of steps.

    Raises:
        ModelFileError: the checkpoint cannot be read, is damaged, or is of another network.
    """
    try:
        checkpoint = Checkpoint(index)
        _check_names(checkpoint)
        convolutional = _convolutional(checkpoint, input_shape)
        width, height, channels = Graph.chain(input_shape, convolutional).output_shape
        if height != 1:
            raise ModelFileError(
                f"an image of {input_shape[0]}×{input_shape[1]} pixels shrinks to height {height}, expected 1:"
                " this network reads images 32 pixels high, width first (axes WHC); mend the spec"
            )
        squeeze = Reshape("Squeeze", (width, channels))
        graph = Graph.chain(input_shape, (*convolutional, squeeze, *_sequential(checkpoint)))
        _ = graph.output_shape
    except ModelFileError as error:
        raise ModelFileError(f"{index}: {error}"[:1000]) from error.__cause__
    return graph


def _check_names(checkpoint: Checkpoint) -> None:
    if any("/.ATTRIBUTES/" in name or name == "_CHECKPOINTABLE_OBJECT_GRAPH" for name in checkpoint.shapes):
        raise ModelFileError(
            "a checkpoint of TensorFlow 2, which holds weights only; build the model in code, load them with"
            " model.load_weights('NAME'), and save the whole model: model.save('NAME.keras'), in tf.keras 2 'NAME.h5'"
        )
    missing = [name for name in _VARIABLES if name not in checkpoint.shapes]
    extra = [name for name in checkpoint.shapes if name not in _VARIABLES and not _OF_TRAINING.fullmatch(name)]
    for kind, names in (("lacks", missing), ("has, too,", extra)):
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise ModelFileError(
                f"{kind} the variables {listed}: not the digits network, the only one read from a TensorFlow 1"
                " checkpoint; rebuild it in Keras, assign the variables, and save that: model.save('NAME.keras')"
            )


def _convolutional(checkpoint: Checkpoint, input_shape: Shape) -> list[Node]:
    first, second, third, fourth, fifth, sixth, last = CONVOLUTIONS
    nodes: list[Node] = []

    def put(node: Node) -> None:
        nodes.append(node)

    def shape() -> Shape:
        return Graph.chain(input_shape, nodes).output_shape

    def conv(name: str, size: int = 3) -> None:
        kernel, bias = _linear(checkpoint, f"{name}/kernel", f"{name}/bias", (size, size))
        pads = same_pads(shape(), (size, size), (1, 1)) if size == 3 else NO_PADS
        put(Conv(name, kernel, bias, pads=pads, activation="relu"))

    def halve_height(name: str) -> None:
        put(Pool(name, "max", (2, 2), (1, 2), same_pads(shape(), (2, 2), (1, 2))))

    conv(first)
    put(Pool("max_pooling2d", "max", (2, 2), (2, 2)))
    conv(second)
    put(Pool("max_pooling2d_1", "max", (2, 2), (2, 2)))
    conv(third)
    put(_norm(checkpoint, NORMS[0]))
    conv(fourth)
    halve_height("max_pooling2d_2")
    conv(fifth)
    put(_norm(checkpoint, NORMS[1]))
    conv(sixth)
    halve_height("max_pooling2d_3")
    conv(last, size=2)
    return nodes


def _sequential(checkpoint: Checkpoint) -> Iterator[Node]:
    for forward, backward in CELLS:
        yield Recurrent(forward.partition("/")[0], _cell(checkpoint, forward), _cell(checkpoint, backward))
    yield Dense("W", *_linear(checkpoint, "W", "b", ()))
    yield Softmax(ADDED_SOFTMAX)


def _linear(checkpoint: Checkpoint, kernel_name: str, bias_name: str, size: tuple[int, ...]) -> tuple[Array, Array]:
    """Read kernel (*size, in, out) and bias (out,)."""
    kernel, bias = checkpoint.shapes[kernel_name], checkpoint.shapes[bias_name]
    if len(kernel) != len(size) + 2 or kernel[:-2] != size or bias != kernel[-1:] or not all(kernel):
        expected = ", ".join([*map(str, size), "in", "out"])
        raise ModelFileError(
            f"{kernel_name} and {bias_name} have shapes {kernel} and {bias}, expected ({expected}) and (out,)"
        )
    return checkpoint.array(kernel_name), checkpoint.array(bias_name)


def _norm(checkpoint: Checkpoint, name: str) -> Affine:
    """Read a norm as it is at inference, with the stored statistics, which this network keeps at 0 and 1."""
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    shapes = {checkpoint.shapes[f"{name}/{role}"] for role in roles}
    if len(shapes) != 1 or len(min(shapes)) != 1:
        raise ModelFileError(f"{name}: its variables have shapes {sorted(shapes)}, expected one width")
    gamma, beta, mean, variance = (checkpoint.array(f"{name}/{role}").astype(np.float64) for role in roles)
    if not (variance >= 0).all():
        raise ModelFileError(f"{name}: a variance is negative; the file is damaged: copy it again")
    scale = gamma / np.sqrt(variance + NORM_EPSILON)
    with np.errstate(over="ignore"):
        norm = Affine(name, scale.astype(np.float32), (beta - mean * scale).astype(np.float32))
    if not (np.isfinite(norm.scale).all() and np.isfinite(norm.shift).all()):
        raise ModelFileError(f"{name}: its weights are too large for float32; the file is damaged: copy it again")
    return norm


def _cell(checkpoint: Checkpoint, name: str) -> LstmCell:
    """Read a BasicLSTMCell: one matrix for [input; hidden], gates in the order i, j (the candidate), f, o."""
    rows, columns = f"{name}/kernel", f"{name}/bias"
    shape = checkpoint.shapes[rows]
    units = shape[1] // 4 if len(shape) == 2 else 0
    if not 0 < units < shape[0] or shape[1] != 4 * units or checkpoint.shapes[columns] != (4 * units,):
        raise ModelFileError(
            f"{rows} and {columns} have shapes {shape} and {checkpoint.shapes[columns]},"
            " expected (in + units, 4 units) and (4 units,)"
        )
    kernel, bias = (_reordered(checkpoint.array(name)) for name in (rows, columns))
    bias[units : 2 * units] += np.float32(FORGET_BIAS)
    return LstmCell(kernel[:-units], kernel[-units:], bias)


def _reordered(gates: Array) -> Array:
    """Reorder gates from i, j, f, o to Keras' i, f, g, o."""
    i, j, f, o = np.split(gates, 4, axis=-1)
    return np.concatenate([i, f, j, o], axis=-1)
