"""Small networks with redundant units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converters.graph import nodes as n
from converters.graph.cells import Cell
from converters.graph.graph import INPUT, Graph
from converters.slim.units import FIXED, Units
from tests.converters.graph.made import values

SHAPE = (6, 8, 1)
SAME = ((1, 1), (1, 1))


def doubled(units: Units) -> Graph:
    """Return a graph in which every other unit, of those that are not fixed, is a copy of the one before it.

    A group of an odd number keeps its last unit. Weights are changed in place of the copies: whatever makes a unit
    makes its copy alike, so that all their values are equal wherever they appear.
    """
    copies = {}
    for numbers in units.groups.values():
        copies.update(dict(zip(numbers[1::2], numbers[::2], strict=False)))
    nodes = []
    for node in units.graph.nodes:
        last = units.last_axis(node.name)
        sources = np.arange(len(last))
        for place, number in enumerate(last.tolist()):
            if number != FIXED and number in copies:
                (sources[place],) = _nearest(np.flatnonzero(last == copies[number]), place)
        nodes.append(_copied(node, sources))
    return Graph(units.graph.input_shape, tuple(nodes))


def _nearest(places: np.ndarray, place: int) -> np.ndarray:
    return places[np.argsort(abs(places - place), kind="stable")[:1]]


def _copied(node: n.Node, sources: np.ndarray) -> n.Node:
    if isinstance(node, n.Conv | n.ConvTranspose | n.Dense):
        return replace(node, kernel=node.kernel[..., sources], bias=node.bias[sources])
    if isinstance(node, n.Affine):
        return replace(node, scale=node.scale[sources], shift=node.shift[sources])
    if isinstance(node, n.Recurrent):
        cells: dict[str, Cell] = {}
        start = 0
        for direction, cell in node.cells:
            mine = sources[start : start + cell.units] - start
            gates = cell.kernel.shape[1] // cell.units
            columns = (np.arange(gates)[:, None] * cell.units + mine).ravel()
            arrays = {
                "kernel": cell.kernel[:, columns],
                "recurrent": cell.recurrent[:, columns],
                "bias": cell.bias[columns],
            }
            if getattr(cell, "inner_bias", None) is not None:
                arrays["inner_bias"] = cell.inner_bias[mine]  # type: ignore[union-attr]
            cells[direction] = replace(cell, **arrays)
            start += cell.units if node.merge == "concat" else 0
        return replace(node, **cells)  # type: ignore[arg-type]
    return node


def every_other(units: Units) -> set[int]:
    """Return the copies in a graph that `doubled` made."""
    return {number for numbers in units.groups.values() for number in numbers[1::2]}


def conv(name: str, source: str, inside: int, out: int, seed: int, **settings: object) -> n.Conv:
    random = np.random.default_rng(seed)
    kernel = values(random, 3, 3, inside, out) / np.float32(np.sqrt(3 * inside))
    settings = {"pads": SAME, "activation": "relu"} | settings
    return n.Conv(name, kernel, values(random, out) / 4, inputs=(source,), **settings)  # type: ignore[arg-type]


def head(source: str, shape: n.Shape, cell: Sequence[Cell | None], merge: n.Merge = "concat") -> tuple[n.Node, ...]:
    """Return the nodes from a map (rows, columns, channels) to posteriors, with the rows as steps."""
    random = np.random.default_rng(9)
    units = [direction.units for direction in cell if direction]
    width = sum(units) if merge == "concat" else units[0]
    return (
        n.Reshape("steps", (shape[0], shape[1] * shape[2]), inputs=(source,)),
        n.Dense("narrow", values(random, shape[1] * shape[2], 6) / 2, values(random, 6), "relu", inputs=("steps",)),
        n.Recurrent("recurrent", *cell, merge, inputs=("narrow",)),
        n.Dense("classes", values(random, width, 5), values(random, 5), inputs=("recurrent",)),
        n.Softmax("posteriors", inputs=("classes",)),
    )


def plain(cell: Sequence[Cell | None], merge: n.Merge = "concat") -> Graph:
    """Return convolutions with a pool between them."""
    return Graph(
        SHAPE,
        (
            conv("first", INPUT, 1, 6, 1),
            n.Pool("pool", "max", (1, 2), (1, 2), inputs=("first",)),
            conv("second", "pool", 6, 4, 2),
            *head("second", (6, 4, 4), cell, merge),
        ),
    )


def residual(cell: Sequence[Cell | None]) -> Graph:
    """Return a residual sum, a convolution of which is not activated."""
    return Graph(
        SHAPE,
        (
            conv("first", INPUT, 1, 4, 1),
            conv("inner", "first", 4, 6, 2),
            conv("back", "inner", 6, 4, 3, activation="linear"),
            n.Binary("sum", "add", "relu", inputs=("first", "back")),
            conv("last", "sum", 4, 4, 4),
            *head("last", (6, 8, 4), cell),
        ),
    )


def depthwise(cell: Sequence[Cell | None]) -> Graph:
    """Return a depthwise convolution between two others."""
    random = np.random.default_rng(5)
    kernel, bias = np.repeat(values(random, 3, 3, 1, 3), 2, axis=3), np.repeat(values(random, 3), 2)
    return Graph(
        SHAPE,
        (
            conv("first", INPUT, 1, 6, 1),
            n.Conv("deep", kernel, bias, (1, 1), SAME, groups=6, activation="relu6", inputs=("first",)),
            conv("last", "deep", 6, 4, 4),
            *head("last", (6, 8, 4), cell),
        ),
    )


def joined(cell: Sequence[Cell | None]) -> Graph:
    """Return two branches that a concatenation joins."""
    return Graph(
        SHAPE,
        (
            conv("left", INPUT, 1, 4, 1),
            conv("right", INPUT, 1, 6, 2, activation="linear"),
            n.Unary("leaky", "leaky_relu", 0.2, inputs=("right",)),
            n.Concat("both", 2, inputs=("left", "leaky")),
            conv("last", "both", 10, 4, 4),
            *head("last", (6, 8, 4), cell),
        ),
    )


def branched(cell: Sequence[Cell | None]) -> Graph:
    """Two branches that are joined and added to a convolution, whose channels so belong to two groups."""
    return Graph(
        SHAPE,
        (
            conv("left", INPUT, 1, 4, 1),
            conv("right", INPUT, 1, 6, 2),
            n.Concat("both", 2, inputs=("left", "right")),
            conv("skip", "left", 4, 10, 3),
            n.Binary("sum", "add", inputs=("both", "skip")),
            conv("last", "sum", 10, 4, 4),
            *head("last", (6, 8, 4), cell),
        ),
    )


def with_constant(cell: Sequence[Cell | None]) -> Graph:
    """Return a maximum with a constant of its own for every channel."""
    return Graph(
        SHAPE,
        (
            conv("first", INPUT, 1, 6, 1),
            n.Constant("floor", values(np.random.default_rng(6), 1, 1, 6)),
            n.Binary("clipped", "maximum", inputs=("first", "floor")),
            conv("last", "clipped", 6, 4, 4),
            *head("last", (6, 8, 4), cell),
        ),
    )


def split(cell: Sequence[Cell | None]) -> Graph:
    """Return two branches that each take some channels of one convolution."""
    return Graph(
        SHAPE,
        (
            conv("first", INPUT, 1, 6, 1),
            n.Slice("few", (0, 0, 0), (*SHAPE[:2], 2), (1, 1, 1), inputs=("first",)),
            n.Slice("many", (0, 0, 2), (*SHAPE[:2], 6), (1, 1, 1), inputs=("first",)),
            conv("left", "few", 2, 4, 2),
            conv("right", "many", 4, 4, 3),
            n.Binary("sum", "add", inputs=("left", "right")),
            *head("sum", (6, 8, 4), cell),
        ),
    )


def shuffled(cell: Sequence[Cell | None]) -> Graph:
    """Return a shuffle of channels, which are two axes on the way."""
    return Graph(
        SHAPE,
        (
            conv("first", INPUT, 1, 6, 1),
            n.Reshape("apart", (*SHAPE[:2], 2, 3), inputs=("first",)),
            n.Permute("turned", (0, 1, 3, 2), inputs=("apart",)),
            n.Reshape("shuffled", (*SHAPE[:2], 6), inputs=("turned",)),
            conv("last", "shuffled", 6, 4, 4),
            *head("last", (6, 8, 4), cell),
        ),
    )
