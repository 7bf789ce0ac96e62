"""Helpers for the tests of the TFLite lowering: they run a file, and bound the errors of int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from converters.graph import nodes as g
from converters.graph import oracle
from converters.graph.cells import Array, Cell, Gate, GruCell, LstmCell
from converters.graph.graph import Graph, Ranges
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES, Recipe
from converters.tflite.quantisation import SIGMOID_OUT, quantisation_of, quantise, quantise_weight
from converters.tflite.to_tflite import to_tflite
from converters.tflite.writer import pack
from edge_crnn.model.spec import Quantisation

EVERY_FORM = [
    replace(recipe, name=f"{recipe.name}-{form}", form=form)
    for recipe in RECIPES.values()
    for form in ("loop", "unrolled")
    if form == "unrolled" or recipe.head != "static"
]
every_form = pytest.mark.parametrize("recipe", EVERY_FORM, ids=lambda recipe: recipe.name)
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)

NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
DTYPES = {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}


class Own:
    """The network's own input, of any shape: an `InputSpec` knows images only."""

    dtype = "float32"

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def converted(graph: Graph, recipe: str | Recipe, ranges: Ranges | None = None, batch: int = 1) -> bytes:
    """Return the TFLite file of a graph on its own input."""
    recipe = RECIPES[recipe] if isinstance(recipe, str) else recipe
    return to_tflite(graph, Own(graph.input_shape), recipe, ranges, batch)  # type: ignore[arg-type]


def run(payload: bytes, images: np.ndarray) -> np.ndarray:
    """Run images batch by batch through one interpreter, and return the output; integers stay integers."""
    interpreter = Interpreter(model_content=payload, num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    size = taken["shape"][0]
    parts = []
    for first in range(0, len(images), size):
        interpreter.set_tensor(taken["index"], images[first : first + size])
        interpreter.invoke()
        parts.append(interpreter.get_tensor(result["index"]))
    return np.concatenate(parts)


def value_of(payload: bytes, images: np.ndarray, name: str) -> tuple[Array, Quantisation | None]:
    """Return an intermediate value of one interpreter for all images, and its quantisation."""
    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    main = model.subgraphs[0]
    tensor = [tensor.name.decode() for tensor in main.tensors].index(name)
    if tensor not in map(int, main.outputs):
        end = next(place for place, op in enumerate(main.operators) if tensor in map(int, op.outputs))
        main.outputs = [tensor]
        main.operators = main.operators[: end + 1]
        model.signatureDefs = []
    values = run(pack(model), images)
    stored = main.tensors[tensor].quantization
    if values.dtype != np.int8:
        return values, None
    quantisation = Quantisation(float(stored.scale[0]), int(stored.zeroPoint[0]))
    return real(values, quantisation), quantisation


def real(integers: np.ndarray, quantisation: Quantisation) -> Array:
    """Return the real values of quantised integers."""
    return (integers.astype(np.float32) - quantisation.zero_point) * np.float32(quantisation.scale)


def read(payload: bytes, images: np.ndarray) -> np.ndarray:
    """Return the probabilities that a file gives."""
    probabilities = run(payload, images)
    return real(probabilities, SIGMOID_OUT) if probabilities.dtype == np.int8 else probabilities


def ops_of(payload: bytes, subgraph: int = 0) -> list[str]:
    """Return the names of a subgraph's ops, in order."""
    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    return [NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] for op in model.subgraphs[subgraph].operators]


def tensors_of(payload: bytes) -> dict[str, Any]:
    """Return the main subgraph's tensors by name."""
    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    return {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}


# --- what int8 and float16 make of values and weights ----------------------------------------------------------------


def rounded(value: Array, quantisation: Quantisation) -> Array:
    """Round to values that int8 can hold."""
    return real(quantise(value, quantisation), quantisation)


def rounded_weight(value: Array, axis: int) -> Array:
    """Round to weights that int8 can hold, with one scale per index of the axis."""
    integers, scales = quantise_weight(value, axis)
    shape = [1] * value.ndim
    shape[axis] = -1
    return integers.astype(np.float32) * scales.reshape(shape)


def halved(node: g.Node) -> g.Node:
    """Return a node with its weights rounded to float16."""
    if isinstance(node, g.Conv | g.ConvTranspose | g.Dense):
        kernel, bias = (value.astype(np.float16).astype(np.float32) for value in node.weights)
        return replace(node, kernel=kernel, bias=bias)
    return node


def coarse(node: g.Node, ranges: Ranges) -> g.Node:
    """Return a node with its weights rounded to int8."""
    match node:
        case g.Conv() | g.ConvTranspose() | g.Dense():
            return replace(node, kernel=rounded_weight(node.kernel, node.kernel.ndim - 1))
        case g.PRelu(slope=slope):
            return replace(node, slope=rounded_weight(slope[None], 0)[0])
        case g.Constant(value=value):
            return replace(node, value=rounded(value, quantisation_of(node.name, ranges)))
        case _:
            return node


def seen(graph: Graph, images: np.ndarray) -> tuple[Array, Ranges]:
    """Return images that int8 holds exactly, and the ranges of the graph's values on them."""
    low = float(images.min())
    high = float(images.max())
    images = rounded(images, quantisation_of("input", {"input": (low, high)}))
    return images, {**calibrate(graph, [images]), "input": (low, high)}


class Maker:
    """Seeded weights and nodes whose output depends strongly on all of their input."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def weights(self, *shape: int, gain: float = 1.5) -> Array:
        return self.random.normal(0, gain / np.sqrt(max(np.prod(shape[:-1]), 1)), shape).astype(np.float32)

    def images(self, count: int, shape: Sequence[int], low: float = -1, high: float = 1) -> Array:
        return self.random.uniform(low, high, (count, *shape)).astype(np.float32)

    def conv(self, size: tuple[int, int], width: int, channels: int, **settings: Any) -> g.Conv:
        return g.Conv("conv", self.weights(*size, width, channels), self.weights(channels, gain=0.5), **settings)

    def dense(self, width: int, channels: int, activation: g.Activation = "linear") -> g.Dense:
        return g.Dense("dense", self.weights(width, channels), self.weights(channels, gain=0.5), activation)

    def norm(self, width: int) -> g.Affine:
        return g.Affine("norm", self.random.uniform(-2, 2, width).astype(np.float32), self.weights(width, gain=0.5))

    def cell(self, width: int, units: int, gates: Gate = "sigmoid", kind: str = "lstm") -> Cell:
        if kind == "lstm":
            kernel = self.weights(width, 4 * units, gain=3)
            recurrent = self.weights(units, 4 * units)
            bias = 4 * units
            return LstmCell(kernel, recurrent, self.weights(bias), gates)
        kernel = self.weights(width, 3 * units, gain=3)
        recurrent = self.weights(units, 3 * units)
        bias = 3 * units
        return GruCell(kernel, recurrent, self.weights(bias), self.weights(units) if kind == "gru" else None, gates)


# --- whole networks --------------------------------------------------------------------------------------------------

LARGEST = {"float32": 1e-5, "float16": 1e-2}
NOISE = {"dynamic": 5e-3, "int8": 5e-3, "int8-full": 2e-2}


def ending(shape: tuple[int, ...], *nodes: g.Node, images: np.ndarray | None = None) -> Graph:
    """Return the nodes with a tail that turns their value into probabilities, far apart for different images."""
    make = Maker(6)
    if images is None:
        images = make.images(64, shape)
    values = oracle.run(Graph.chain(shape, nodes), images).reshape(len(images), -1)
    kernel = make.weights(values.shape[1], 6)
    spread = (values @ kernel).std(axis=0)
    kernel *= 3 / np.where(spread > 0, spread, 1)
    last = g.Dense("last", kernel, -(values @ kernel).mean(axis=0))
    return Graph.chain(shape, (*nodes, g.Reshape("flat", (1, len(kernel))), last, g.Softmax("softmax")))


def close(values: np.ndarray, expected: np.ndarray) -> None:
    """Check that values are equal except for the rounding of float32."""
    np.testing.assert_allclose(values, expected, atol=1e-5 * max(1.0, float(np.abs(expected).max())), rtol=1e-5)


def noise(values: np.ndarray, expected: np.ndarray) -> float:
    """Return the power of the error divided by the power of the differences between images."""
    return float(np.sum((values - expected) ** 2) / np.sum((expected - expected.mean(axis=0)) ** 2))


def check(recipe: Recipe, values: np.ndarray, expected: np.ndarray) -> None:
    """Check floating point by the largest difference of a probability, and int8 by noise relative to the signal."""
    assert expected.std(axis=0).max() > 0.2  # the images are told apart
    name = recipe.name.removesuffix("-loop").removesuffix("-unrolled")
    if name in LARGEST:
        np.testing.assert_allclose(values, expected, atol=LARGEST[name], rtol=0)
    else:
        assert noise(values, expected) < NOISE[name]


def holds(recipe: Recipe, graph: Graph, batch: int = 1) -> None:
    """Check that LiteRT and the oracle agree on 16 images through one interpreter."""
    images = Maker(9).images(16, graph.input_shape)
    ranges = calibrate(graph, [images]) if recipe.needs_calibration else None
    check(recipe, read(converted(graph, recipe, ranges, batch), images), oracle.run(graph, images))


MAP, SEQUENCE = (7, 9, 3), (6, 5)
M = Maker(5)
CELLS = M.cell(5, 4), M.cell(5, 4)
RECURRENT: dict[str, tuple[g.Node, ...]] = {
    "forward": (g.Recurrent("lstm", CELLS[0], None),),
    "backward": (g.Recurrent("lstm", None, CELLS[1]),),
    **{merge: (g.Recurrent("lstm", *CELLS, merge),) for merge in ("concat", "sum", "average", "product")},  # type: ignore[arg-type]
    "two widths": (g.Recurrent("lstm", M.cell(5, 3), M.cell(5, 7)),),
    "two layers": (g.Recurrent("lstm1", *CELLS, "sum"), M.norm(4), g.Recurrent("lstm2", M.cell(4, 3), M.cell(4, 3))),
}
for kind in ("gru", "gru as first published"):
    GRUS = M.cell(5, 4, kind=kind), M.cell(5, 4, kind=kind)
    RECURRENT[f"{kind} forward"] = (g.Recurrent("gru", GRUS[0], None),)
    RECURRENT[f"{kind} backward"] = (g.Recurrent("gru", None, GRUS[1]),)
    RECURRENT[f"{kind} sum"] = (g.Recurrent("gru", *GRUS, "sum"),)
    RECURRENT[f"{kind} two layers"] = (
        g.Recurrent("gru1", *GRUS),
        M.norm(8),
        g.Recurrent("gru2", M.cell(8, 3, kind=kind), M.cell(8, 6, kind=kind)),
    )
    RECURRENT[f"lstm and {kind}"] = (g.Recurrent("pair", CELLS[0], GRUS[1]),)
RECURRENT["gru without inner bias"] = (g.Recurrent("gru", replace(GRUS[0], inner_bias=np.zeros(4, np.float32)), None),)
KINDS = {"lstm": "concat", "gru": "gru sum", "gru as first published": "gru as first published sum"}
every_kind = pytest.mark.parametrize("kind", KINDS)
