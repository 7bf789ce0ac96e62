"""The primitives of a graph: every Keras layer becomes a few of them, and every target lowers only them.

A node has a name, the names of its inputs, its weights and a shape rule. Shapes and axes are those of one sample,
without the batch axis: axis 0 is the first one after the batch. Feature maps are channels last. Values are float32.

The primitives that compute are here; `movers` has those that only move elements, `node` their common base, and
`windows` the arithmetic of padding. This module exports them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from .cells import Array, Cell
from .movers import MOVERS, Concat, Pad, Permute, Reshape, Reverse, Slice
from .node import MAX_VALUES, Node, Shape
from .windows import NO_PADS, Pads, padded_size, same_pads, windows

__all__ = [
    "MAX_VALUES", "MOVERS", "NO_PADS", "Activation", "Affine", "Binary", "Concat", "Constant", "Conv", "ConvTranspose",
    "Dense", "Function", "MatMul", "Merge", "Node", "Normalise", "Operator", "PRelu", "Pad", "Pads", "Permute", "Pool",
    "Recurrent", "Reduce", "Reshape", "Resize", "Reverse", "Shape", "Slice", "Softmax", "SpatialTransform", "Unary",
    "padded_size", "same_pads",
]  # fmt: skip

Activation: TypeAlias = Literal["linear", "relu", "relu6"]
"""Functions that a node can apply to its own result, since every target fuses them."""

Function: TypeAlias = Literal[
    "abs", "elu", "exp", "gelu", "gelu_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "hard_silu", "leaky_relu",
    "linear", "log", "mish", "negative", "relu", "relu6", "rsqrt", "selu", "sigmoid", "silu", "softplus", "softsign",
    "sqrt", "square", "tanh",
]  # fmt: skip
"""Element-wise functions of one value. `hard_sigmoid` is relu6(x + 3) / 6, `hard_silu` x times that; `gelu_tanh` is
the tanh approximation; `leaky_relu` and `elu` take `Unary.alpha`."""

Merge: TypeAlias = Literal["concat", "sum", "average", "product"]
"""How the values of two directions are combined."""

Operator: TypeAlias = Literal["add", "subtract", "multiply", "divide", "maximum", "minimum"]


@dataclass(frozen=True, eq=False)
class Conv(Node):
    """2-D convolution of (rows, columns, channels); a 1-D convolution has an axis of length 1."""

    kernel: Array
    """(height, width, in / groups, out)."""
    bias: Array
    """(out,)."""
    strides: tuple[int, int] = (1, 1)
    pads: Pads = NO_PADS
    """Zeros around the input."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    """Number of blocks that input and output channels are split into, in order; `in` for a depthwise convolution."""
    activation: Activation = "linear"

    @property
    def weights(self) -> tuple[Array, ...]:
        """Kernel and bias."""
        return (self.kernel, self.bias)

    def shape(self, *shapes: Shape) -> Shape:
        """(rows, columns, out)."""
        (shape,) = shapes
        inside, out = self.kernel.shape[2:]
        fits = len(shape) == 3 and self.groups > 0 and shape[2] == inside * self.groups and out % self.groups == 0
        self.require(fits and self.bias.shape == (out,), shapes)
        rows, columns = windows(shape, self.kernel.shape, self.strides, self.pads, self.dilation)
        self.require(min(rows, columns) > 0 and padded_size(shape, self.pads) <= MAX_VALUES, shapes)
        return (rows, columns, int(out))


@dataclass(frozen=True, eq=False)
class ConvTranspose(Node):
    """Transposed 2-D convolution: every input pixel adds its multiple of the kernel to the output."""

    kernel: Array
    """(height, width, in, out)."""
    bias: Array
    """(out,)."""
    strides: tuple[int, int] = (1, 1)
    trims: Pads = NO_PADS
    """How much is cut off the full result, (n - 1) stride + size long; a negative number adds zeros before the bias."""
    activation: Activation = "linear"

    @property
    def weights(self) -> tuple[Array, ...]:
        """Kernel and bias."""
        return (self.kernel, self.bias)

    def shape(self, *shapes: Shape) -> Shape:
        """(rows, columns, out)."""
        (shape,) = shapes
        inside, out = self.kernel.shape[2:]
        self.require(len(shape) == 3 and shape[2] == inside and self.bias.shape == (out,), shapes)
        rows, columns = (
            (length - 1) * stride + size - before - after
            for length, stride, size, (before, after) in zip(
                shape[:2], self.strides, self.kernel.shape[:2], self.trims, strict=True
            )
        )
        self.require(min(rows, columns) > 0, shapes)
        return (rows, columns, int(out))


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """2-D pooling; padding counts neither in the maximum nor in the average."""

    mode: Literal["max", "average"]
    size: tuple[int, int]
    strides: tuple[int, int]
    pads: Pads = NO_PADS

    def shape(self, *shapes: Shape) -> Shape:
        """(rows, columns, channels)."""
        (shape,) = shapes
        self.require(len(shape) == 3, shapes)
        covered = all(max(pads) < size for pads, size in zip(self.pads, self.size, strict=True))
        rows, columns = windows(shape, self.size, self.strides, self.pads)
        self.require(covered and min(rows, columns) > 0, shapes)
        return (rows, columns, shape[2])


@dataclass(frozen=True, eq=False)
class Dense(Node):
    """Matrix product over the last axis."""

    kernel: Array
    """(in, out)."""
    bias: Array
    """(out,)."""
    activation: Activation = "linear"

    @property
    def weights(self) -> tuple[Array, ...]:
        """Kernel and bias."""
        return (self.kernel, self.bias)

    def shape(self, *shapes: Shape) -> Shape:
        """(..., out)."""
        (shape,) = shapes
        fits = bool(shape) and shape[-1] == self.kernel.shape[0] and self.bias.shape == self.kernel.shape[1:]
        self.require(fits, shapes)
        return (*shape[:-1], int(self.kernel.shape[1]))


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """`x * scale + shift` per channel of the last axis: a batch norm at inference."""

    scale: Array
    shift: Array
    activation: Activation = "linear"

    @property
    def weights(self) -> tuple[Array, ...]:
        """Scale and shift."""
        return (self.scale, self.shift)

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the input."""
        (shape,) = shapes
        self.require(bool(shape) and (shape[-1],) == self.scale.shape == self.shift.shape, shapes)
        return shape


@dataclass(frozen=True, eq=False)
class Unary(Node):
    """An element-wise function."""

    function: Function
    alpha: float = 0.0
    """Slope of `leaky_relu` below zero, or limit of `elu`."""

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the input."""
        return shapes[0]


@dataclass(frozen=True, eq=False)
class PRelu(Node):
    """`x` where `x` is positive, otherwise `slope * x` (He et al. 2015)."""

    slope: Array
    """The slope, with as many axes as a sample; it is broadcast."""

    @property
    def weights(self) -> tuple[Array, ...]:
        """The slope."""
        return (self.slope,)

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the input."""
        (shape,) = shapes
        fits = len(shape) == self.slope.ndim and all(
            mine in (1, length) for mine, length in zip(self.slope.shape, shape, strict=True)
        )
        self.require(fits, shapes)
        return shape


@dataclass(frozen=True, eq=False)
class Binary(Node):
    """An element-wise operator of two values with equal numbers of axes; an axis of length 1 is repeated."""

    arity = 2
    operator: Operator
    activation: Activation = "linear"

    def shape(self, *shapes: Shape) -> Shape:
        """The broadcast shape."""
        self.require(len(shapes[0]) == len(shapes[1]), shapes)
        try:
            return tuple(np.broadcast_shapes(*shapes))
        except ValueError:
            self.require(False, shapes)
            raise


@dataclass(frozen=True, eq=False)
class MatMul(Node):
    """Matrix product of the last two axes; the axes before them are equal."""

    arity = 2
    transposed: bool = False
    """Whether the second operand is transposed, (..., out, in)."""

    def shape(self, *shapes: Shape) -> Shape:
        """(..., rows, out)."""
        first, second = shapes
        self.require(len(first) == len(second) >= 2 and first[:-2] == second[:-2], shapes)
        inside, out = (second[-1], second[-2]) if self.transposed else (second[-2], second[-1])
        self.require(first[-1] == inside, shapes)
        return (*first[:-1], out)


@dataclass(frozen=True, eq=False)
class Softmax(Node):
    """Softmax over the last axis."""

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the input."""
        self.require(bool(shapes[0]), shapes)
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Normalise(Node):
    """`(x - mean) / sqrt(variance + epsilon)`, both over some axes of the sample itself (Ba et al. 2016)."""

    axes: tuple[int, ...]
    epsilon: float

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the input."""
        self.require(are_axes(self.axes, shapes[0]), shapes)
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Reduce(Node):
    """Mean, maximum, minimum or sum over some axes."""

    mode: Literal["mean", "max", "min", "sum"]
    axes: tuple[int, ...]
    keepdims: bool = False

    def shape(self, *shapes: Shape) -> Shape:
        """The shape without the reduced axes, or with length 1 there."""
        (shape,) = shapes
        self.require(are_axes(self.axes, shape), shapes)
        if self.keepdims:
            return tuple(1 if axis in self.axes else length for axis, length in enumerate(shape))
        return tuple(length for axis, length in enumerate(shape) if axis not in self.axes)


@dataclass(frozen=True, eq=False)
class Resize(Node):
    """A feature map enlarged by whole factors, with half-pixel centres."""

    factors: tuple[int, int]
    mode: Literal["nearest", "bilinear"]

    def shape(self, *shapes: Shape) -> Shape:
        """(rows, columns, channels)."""
        (shape,) = shapes
        self.require(len(shape) == 3 and min(self.factors) > 0, shapes)
        return (shape[0] * self.factors[0], shape[1] * self.factors[1], shape[2])


@dataclass(frozen=True, eq=False)
class Constant(Node):
    """A value that is the same for every sample."""

    arity = 0
    value: Array

    @property
    def weights(self) -> tuple[Array, ...]:
        """The value."""
        return (self.value,)

    def shape(self, *_: Shape) -> Shape:
        """The shape of the value, which has no batch axis."""
        return tuple(map(int, self.value.shape))


@dataclass(frozen=True, eq=False)
class SpatialTransform(Node):
    """A feature map sampled bilinearly on an affinely transformed grid (Jaderberg et al. 2015).

    Takes the map (rows, columns, channels) and the transformation (6,), row by row a 2×3 matrix that turns the
    target's (x, y, 1), each from -1 to 1, into the source's (x, y). Source coordinates become pixels by
    `(x + 1) / 2 * columns`; the four neighbours are clipped to the map, and so are the areas that weigh them, as in
    the implementation that Keras CRNNs share (`converters.graph.oracle` has the formula).
    """

    arity = 2

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the map."""
        self.require(len(shapes[0]) == 3 and shapes[1] == (6,), shapes)
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Recurrent(Node):
    """An LSTM or GRU over (steps, in), in one direction or both; all values are in the order of the input's steps."""

    forward: Cell | None
    backward: Cell | None
    merge: Merge = "concat"

    @property
    def cells(self) -> tuple[tuple[str, Cell], ...]:
        """The directions in use and their cells."""
        pairs = (("forward", self.forward), ("backward", self.backward))
        return tuple((name, cell) for name, cell in pairs if cell is not None)

    @property
    def weights(self) -> tuple[Array, ...]:
        """All arrays of all cells."""
        return tuple(array for _, cell in self.cells for array in cell.weights)

    def shape(self, *shapes: Shape) -> Shape:
        """(steps, out)."""
        (shape,) = shapes
        self.require(len(shape) == 2 and all(shape[1] == cell.kernel.shape[0] for _, cell in self.cells), shapes)
        units = [cell.units for _, cell in self.cells]
        self.require(bool(units) and (self.merge == "concat" or len(set(units)) == 1), shapes)
        return (shape[0], sum(units) if self.merge == "concat" else units[0])


def are_axes(axes: Sequence[int], shape: Shape) -> bool:
    """Return whether these are distinct axes of a sample."""
    return bool(axes) and len(set(axes)) == len(axes) and all(0 <= axis < len(shape) for axis in axes)
