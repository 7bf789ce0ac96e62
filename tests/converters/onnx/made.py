"""Random weights and networks, and runs of their files in ONNX Runtime and TensorRT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph import oracle
from converters.graph.cells import Array, Cell, Gate, GruCell, LstmCell
from converters.graph.graph import Graph
from converters.graph.nodes import (
    Activation,
    Affine,
    Binary,
    Concat,
    Conv,
    Dense,
    MatMul,
    Node,
    Normalise,
    Permute,
    Pool,
    Recurrent,
    Reduce,
    Reshape,
    Reverse,
    Softmax,
    Unary,
)
from converters.onnx.to_onnx import to_onnx
from converters.recipe import ONNX_RECIPES, Recipe

FLOAT, HALF = 1, 10
"""ONNX' numbers of the types."""


class Random:
    """Weights that depend on the seed alone."""

    def __init__(self, seed: int = 20240117) -> None:
        self._generator = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Array:
        return self._generator.normal(0, 0.7, shape).astype(np.float32)

    def conv(self, name: str, inside: int, out: int, size: int = 3, activation: Activation = "linear") -> Conv:
        """Make a convolution that keeps the size of its input, with results of about the same magnitude."""
        around = ((size - 1) // 2, size // 2)
        kernel = self(size, size, inside, out) / np.float32(np.sqrt(size * size * inside))
        return Conv(name, kernel, self(out), pads=(around, around), activation=activation)

    def dense(self, name: str, inside: int, out: int, activation: Activation = "linear") -> Dense:
        return Dense(name, self(inside, out), self(out), activation)

    def affine(self, name: str, width: int, activation: Activation = "linear") -> Affine:
        return Affine(name, self(width), self(width), activation)

    def cell(self, width: int, units: int, gates: Gate = "sigmoid", kind: str = "LSTM") -> Cell:
        if kind == "LSTM":
            return LstmCell(self(width, 4 * units), self(units, 4 * units), self(4 * units), gates)
        inner = self(units) if kind == "GRU" else None
        return GruCell(self(width, 3 * units), self(units, 3 * units), self(3 * units), inner, gates)


def after(node: Node, *inputs: str) -> Node:
    """Return the node with other inputs."""
    return replace(node, inputs=inputs)


def run(data: bytes, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Run a batch in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # that the output has no batch of its own is no news
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"image": batch})[0])


def assert_runs_as_the_oracle(
    graph: Graph, recipe: Recipe = ONNX_RECIPES["float32"], tolerance: float = 1e-5, images: int = 3
) -> bytes:
    """Check that ONNX Runtime and the oracle agree on a batch and on an image, relative to the largest value.

    Returns:
        The ONNX file.
    """
    data = to_onnx(graph, recipe)
    batch = Random(images)(images, *graph.input_shape)
    for part in (batch, batch[1:2]):
        expected = oracle.run(graph, part)
        actual = run(data, part)
        assert (actual.dtype, actual.shape) == (np.float32, expected.shape)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, float(np.abs(expected).max())))
    return data


def assert_runs_in_half(graph: Graph) -> None:
    """Check that float16 agrees with the oracle approximately."""
    for name in ("float16", "float16-mixed"):
        assert_runs_as_the_oracle(graph, ONNX_RECIPES[name], 0.02)


def operations(data: bytes) -> Counter[str]:
    """Count the operations by kind."""
    import onnx

    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


def types(data: bytes) -> dict[str, int]:
    """The type of each value that a node takes or gives, by name."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True).graph
    values = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)
    }
    return values | {constant.name: constant.data_type for constant in graph.initializer}


def parse_errors(rtx: Any, data: bytes) -> list[str]:
    """Return the errors of TensorRT's parser."""
    logger = rtx.Logger(rtx.Logger.ERROR)
    network = rtx.Builder(logger).create_network(0)
    parser = rtx.OnnxParser(network, logger)
    parser.parse(data)
    return [parser.get_error(index).desc() for index in range(parser.num_errors)]


def tail(random: Random, shape: tuple[int, int, int]) -> list[Node]:
    """Return the nodes from a map to probabilities."""
    rows, columns, channels = shape
    return [
        Permute("columns first", (1, 0, 2)),
        Reshape("sequence", (columns, rows * channels)),
        random.dense("head", rows * channels, 5),
        Softmax("softmax"),
    ]


def residual(random: Random, blocks: int = 3) -> Graph:
    """Convolutions with a norm and a slope below zero, and what they take added to what they give."""
    nodes: list[Node] = [random.conv("stem", 2, 6, activation="relu")]
    for block in range(blocks):
        start = nodes[-1].name
        nodes += [
            random.conv(f"block{block}/conv1", 6, 6),
            random.affine(f"block{block}/norm", 6),
            Unary(f"block{block}/leaky", "leaky_relu", 0.1),
            random.conv(f"block{block}/conv2", 6, 6),
            Binary(f"block{block}/add", "add", "relu", inputs=(start, f"block{block}/conv2")),
        ]
    return Graph.chain((8, 10, 2), [*nodes, *tail(random, (8, 10, 6))])


def dense_concat(random: Random, layers: int = 3) -> Graph:
    """Return a network in which a layer takes the outputs of all layers before it, as in DenseNet."""
    nodes: list[Node] = [random.conv("stem", 2, 4)]
    width = 4
    for layer in range(layers):
        start = nodes[-1].name
        nodes += [
            random.affine(f"{layer}/norm", width, "relu"),
            random.conv(f"{layer}/conv", width, 3),
            Concat(f"{layer}/concat", 2, inputs=(start, f"{layer}/conv")),
        ]
        width += 3
    nodes.append(Pool("pool", "average", (2, 2), (2, 2)))
    return Graph.chain((8, 10, 2), [*nodes, *tail(random, (4, 5, width))])


def squeeze_excite(random: Random, keepdims: bool) -> Graph:
    """Channels weighed by what is made of their means."""
    pixel: list[Node] = [] if keepdims else [Reshape("pixel", (1, 1, 4))]
    nodes = [
        random.conv("conv", 2, 4, activation="relu"),
        Reduce("squeeze", "mean", (0, 1), keepdims),
        *pixel,
        random.conv("reduce", 4, 2, 1, "relu"),
        random.conv("expand", 2, 4, 1),
        Unary("gate", "sigmoid"),
        Binary("scale", "multiply", inputs=("conv", "gate")),
        random.conv("last", 4, 4),
    ]
    return Graph.chain((8, 10, 2), [*nodes, *tail(random, (8, 10, 4))])


def attention(random: Random) -> Graph:
    """Return self-attention of two heads and a perceptron, both with a norm before and a sum after."""
    steps, width, heads = 6, 8, 2

    def split(name: str, source: str) -> list[Node]:
        return [
            after(random.dense(name, width, width), source),
            Reshape(f"{name}/parts", (steps, heads, width // heads)),
            Permute(f"{name}/heads", (1, 0, 2)),
        ]

    nodes: list[Node] = [
        random.dense("embed", 4, width),
        Normalise("norm1", (1,), 1e-6),
        random.affine("norm1/gamma", width),
        *split("query", "norm1/gamma"),
        *split("key", "norm1/gamma"),
        *split("value", "norm1/gamma"),
        MatMul("scores", transposed=True, inputs=("query/heads", "key/heads")),
        Softmax("attention"),
        MatMul("mixed", inputs=("attention", "value/heads")),
        Permute("joined", (1, 0, 2)),
        Reshape("sequence", (steps, width)),
        Binary("add1", "add", inputs=("embed", "sequence")),
        Normalise("norm2", (1,), 1e-6),
        random.dense("wide", width, 16),
        Unary("gelu", "gelu"),
        random.dense("narrow", 16, width),
        Binary("add2", "add", inputs=("add1", "narrow")),
        random.dense("head", width, 5),
        Softmax("softmax"),
    ]
    return Graph.chain((steps, 4), nodes)


def unturned(random: Random) -> Graph:
    """A backward layer whose result is merged as it comes, as in Keras' own image_ocr."""
    nodes: list[Node] = [
        random.dense("in", 4, 6, "relu"),
        Recurrent("forward", random.cell(6, 3, kind="GRU"), None),
        Recurrent("backward", None, random.cell(6, 3, kind="GRU"), inputs=("in",)),
        Reverse("as it comes", 0),
        Binary("merged", "add", inputs=("forward", "as it comes")),
        random.dense("head", 3, 5),
        Softmax("softmax"),
    ]
    return Graph.chain((7, 4), nodes)


NETWORKS: dict[str, Callable[[Random], Graph]] = {
    "residual": residual,
    "dense": dense_concat,
    "squeeze and excite": lambda random: squeeze_excite(random, True),
    "squeeze and excite, flat": lambda random: squeeze_excite(random, False),
    "attention": attention,
    "unturned": unturned,
}
