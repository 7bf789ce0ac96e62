"""Seeded nodes, and random graphs of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np

from converters.graph import nodes as n
from converters.graph.cells import GruCell, LstmCell
from converters.graph.graph import INPUT, Graph

Random = np.random.Generator


def values(random: Random, *shape: int) -> np.ndarray:
    return random.uniform(-1, 1, shape).astype(np.float32)


def lstm(random: Random, width: int, units: int) -> LstmCell:
    return LstmCell(values(random, width, 4 * units), values(random, units, 4 * units), values(random, 4 * units))


def gru(random: Random, width: int, units: int, inner: bool = True) -> GruCell:
    arrays = values(random, width, 3 * units), values(random, units, 3 * units), values(random, 3 * units)
    return GruCell(*arrays, values(random, units) if inner else None)


def conv(random: Random, width: int, out: int = 4, **settings: object) -> n.Conv:
    return n.Conv("conv", values(random, 3, 2, width, out), values(random, out), **settings)  # type: ignore[arg-type]


def affine(random: Random, width: int, name: str = "norm") -> n.Affine:
    return n.Affine(name, values(random, width) + 2, values(random, width))


SAFE = tuple(sorted(set(get_args(n.Function)) - {"exp", "log", "rsqrt", "sqrt", "square"}))
"""Functions that are defined everywhere and do not grow."""


class Builder:
    """Adds random nodes to a graph whose values are maps, so that most of them fit on each other."""

    def __init__(self, seed: int, shape: n.Shape = (6, 5, 4)) -> None:
        self.random = np.random.default_rng(seed)
        self.shapes: dict[str, n.Shape] = {INPUT: shape}
        self.input_shape = shape
        self.nodes = list[n.Node]()

    def add(self, make: Callable[[str], n.Node], *inputs: str) -> str:
        name = f"n{len(self.nodes)}"
        node = make(name)
        node = type(node)(**{**vars(node), "name": name, "inputs": inputs})
        self.shapes[name] = node.shape(*(self.shapes[source] for source in inputs))
        self.nodes.append(node)
        return name

    def graph(self) -> Graph:
        return Graph(self.input_shape, tuple(self.nodes))

    def some(self, names: Sequence[str] | None = None) -> str:
        return str(self.random.choice(list(names or self.shapes)))

    def grow(self, kind: str) -> None:
        """Add a node of a kind, or several that belong together."""
        random = self.random
        x = self.some()
        shape = self.shapes[x]
        width = shape[-1]
        match kind:
            case "conv":
                pads = ((1, 1), (0, 1)) if random.random() < 0.5 else n.NO_PADS
                if shape[0] + 2 * (pads != n.NO_PADS) < 3 or shape[1] < 2:
                    return
                groups = int(random.choice([1, 1, width]))
                self.add(lambda _: conv(random, width // groups, 2 * width, pads=pads, groups=groups), x)
            case "transposed":
                if max(shape) < 20:
                    kernel = values(random, 2, 2, width, width)
                    self.add(lambda name: n.ConvTranspose(name, kernel, values(random, width), (2, 1)), x)
            case "dense":
                self.add(lambda name: n.Dense(name, values(random, width, 4), values(random, 4)), x)
            case "affine":
                self.add(lambda name: affine(random, width, name), x)
            case "unary":
                function = str(random.choice(["relu", "relu6", "linear", *SAFE]))
                self.add(lambda name: n.Unary(name, function, 0.3), x)  # type: ignore[arg-type]
            case "binary":
                operator = str(random.choice(["add", "subtract", "multiply", "maximum", "minimum"]))
                alike = [name for name, other in self.shapes.items() if other == shape]
                self.add(lambda name: n.Binary(name, operator), x, self.some(alike))  # type: ignore[arg-type]
            case "constant":
                operator = str(random.choice(["add", "subtract", "multiply", "divide", "maximum"]))
                value = values(random, *((1, 1, width) if random.random() < 0.5 else (1, 1, 1))) + 2
                constant = self.add(lambda name: n.Constant(name, value))
                operands = (x, constant) if operator == "divide" or random.random() < 0.5 else (constant, x)
                self.add(lambda name: n.Binary(name, operator), *operands)  # type: ignore[arg-type]
                self.shapes.pop(constant)
            case "concat":
                axis = int(random.integers(3))
                alike = [name for name, other in self.shapes.items() if other == shape]
                if shape[axis] < 12:
                    self.add(lambda name: n.Concat(name, axis), x, self.some(alike))
            case "permute":
                axes = tuple(map(int, random.permutation(3)))
                self.add(lambda name: n.Permute(name, axes), x)
            case "there and back":
                turned = self.add(lambda name: n.Permute(name, (2, 0, 1)), x)
                changed = self.add(lambda name: n.Unary(name, "tanh"), turned)
                self.add(lambda name: n.Permute(name, (1, 2, 0)), changed)
            case "reshape":
                self.add(lambda name: n.Reshape(name, (shape[1], shape[0], shape[2])), x)
            case "pad":
                self.add(lambda name: n.Pad(name, ((0, 1), (1, 0), (0, 0))), x)
            case "reverse":
                axis = int(random.integers(3))
                first = self.add(lambda name: n.Reverse(name, axis), x)
                if random.random() < 0.5:
                    self.add(lambda name: n.Reverse(name, axis), first)
            case "pool":
                if min(shape[:2]) > 2:
                    mode = str(random.choice(["max", "average"]))
                    self.add(lambda name: n.Pool(name, mode, (2, 2), (1, 2)), x)  # type: ignore[arg-type]
            case "reduce":
                mode = str(random.choice(["mean", "max", "sum"]))
                pooled = self.add(lambda name: n.Reduce(name, mode, (0, 1), True), x)  # type: ignore[arg-type]
                self.add(lambda name: n.Binary(name, "multiply"), x, pooled)
            case "pair":
                steps = self.add(lambda name: n.Reshape(name, (shape[0] * shape[1], width)), x)
                forward = self.add(lambda name: n.Recurrent(name, lstm(random, width, 2), None), steps)
                backward = self.add(lambda name: n.Recurrent(name, None, lstm(random, width, 2)), steps)
                if random.random() < 0.5:
                    backward = self.add(lambda name: n.Reverse(name, 0), backward)
                if random.random() < 0.5:
                    merged = self.add(lambda name: n.Concat(name, 1), forward, backward)
                else:
                    merged = self.add(lambda name: n.Binary(name, "add"), forward, backward)
                self.add(lambda name: n.Reshape(name, (*shape[:2], self.shapes[merged][-1])), merged)
                for name in [name for name, other in self.shapes.items() if len(other) < 3]:
                    del self.shapes[name]


KINDS = (
    "conv", "transposed", "dense", "affine", "unary", "binary", "constant", "concat", "permute", "there and back",
    "reshape", "pad", "reverse", "pool", "reduce", "pair",
)  # fmt: skip


def random_graph(kinds: Sequence[str], seed: int) -> Graph:
    """A graph of nodes of these kinds, in this order, that ends in a softmax of what was made last."""
    builder = Builder(seed)
    for kind in kinds:
        builder.grow(kind)
    builder.add(n.Softmax, list(builder.shapes)[-1])
    return builder.graph()
