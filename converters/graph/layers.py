"""The one intermediate between Keras and every target: a CRNN as a chain of plain layers with NumPy weights.

A CRNN is a chain once its bidirectional pairs are recognised: convolutions and pools, a reshape from feature map to
sequence, recurrent layers, and a dense layer with softmax. `Graph.folded` does the arithmetic that can be done before
any image is seen; `converters.graph.oracle` executes a graph in NumPy, and each lowering is tested against that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ModelFileError

Array: TypeAlias = npt.NDArray[np.float32]
Function: TypeAlias = Literal["linear", "relu", "relu6", "tanh", "sigmoid", "softmax"]
Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid_keras2"]
"""hard_sigmoid_keras2 is clip(0.2 x + 0.5) to 0..1, the default of Keras before 2.3."""
Padding: TypeAlias = Literal["same", "valid"]
Shape: TypeAlias = tuple[int, ...]
"""Of one sample, without the batch axis."""


@dataclass(frozen=True, eq=False)
class Conv:
    """2-D convolution, channels last; `same` pads as TensorFlow does (the odd pixel right and below)."""

    name: str
    kernel: Array
    """(height, width, in, out), heights along the first spatial axis of the tensor."""
    bias: Array
    """(out,)."""
    strides: tuple[int, int] = (1, 1)
    padding: Padding = "same"
    activation: Function = "linear"


@dataclass(frozen=True, eq=False)
class Pool:
    """2-D pooling; the average counts real pixels only, as TensorFlow's does."""

    name: str
    kind: Literal["max", "average"]
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding = "valid"


@dataclass(frozen=True, eq=False)
class Affine:
    """`x * scale + shift` per channel: a BatchNorm at inference."""

    name: str
    scale: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Activation:
    """An element-wise function, or softmax over the last axis."""

    name: str
    function: Function


@dataclass(frozen=True, eq=False)
class Reshape:
    """To `shape`, in row-major order."""

    name: str
    shape: Shape


@dataclass(frozen=True, eq=False)
class Permute:
    """Axis i of the result is axis `axes[i]` of the input; axes count from 0 without the batch."""

    name: str
    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Dense:
    """Matrix product over the last axis."""

    name: str
    kernel: Array
    """(in, out)."""
    bias: Array
    activation: Function = "linear"


@dataclass(frozen=True, eq=False)
class LstmCell:
    """One direction of an LSTM, gates in Keras' order i, f, g, o (Hochreiter 1997; Gers 2000)."""

    kernel: Array
    """(in, 4 units)."""
    recurrent: Array
    """(units, 4 units)."""
    bias: Array
    """(4 units,)."""
    recurrent_activation: Gate = "sigmoid"

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.recurrent.shape[0])

    @property
    def weights(self) -> tuple[Array, ...]:
        """All arrays."""
        return (self.kernel, self.recurrent, self.bias)


@dataclass(frozen=True, eq=False)
class GruCell:
    """One direction of a GRU, gates in Keras' order z, r, h, and `hidden = z hidden + (1 - z) h` (Cho 2014)."""

    kernel: Array
    """(in, 3 units)."""
    recurrent: Array
    """(units, 3 units)."""
    bias: Array
    """(3 units,)."""
    inner_bias: Array | None = None
    """(units,). The candidate h is tanh(x W + b + r (hidden R + inner_bias)), Keras' `reset_after`; or, where this is
    None, tanh(x W + b + (r hidden) R), as first published."""
    recurrent_activation: Gate = "sigmoid"

    @property
    def units(self) -> int:
        """Width of the state."""
        return int(self.recurrent.shape[0])

    @property
    def weights(self) -> tuple[Array, ...]:
        """All arrays."""
        inner = () if self.inner_bias is None else (self.inner_bias,)
        return (self.kernel, self.recurrent, self.bias, *inner)


Cell: TypeAlias = LstmCell | GruCell


@dataclass(frozen=True, eq=False)
class Recurrent:
    """An LSTM or GRU, one way or both ways; the output of the backward one is in the order of the input's steps."""

    name: str
    forward: Cell | None
    backward: Cell | None
    merge: Literal["concat", "sum", "average", "product"] = "concat"

    @property
    def cells(self) -> tuple[tuple[str, Cell], ...]:
        """The directions that there are, by name."""
        pairs = (("forward", self.forward), ("backward", self.backward))
        return tuple((name, cell) for name, cell in pairs if cell is not None)


Layer: TypeAlias = Conv | Pool | Affine | Activation | Reshape | Permute | Dense | Recurrent


@dataclass(frozen=True, eq=False)
class Graph:
    """A chain of layers from one float32 input to probabilities (steps, classes)."""

    input_shape: Shape
    layers: tuple[Layer, ...]

    def shapes(self) -> Iterator[tuple[Layer, Shape, Shape]]:
        """Each layer with the shape that it takes and the shape that it gives.

        Raises:
            ModelFileError: a layer does not fit on the one before it.
        """
        shape = self.input_shape
        for layer in self.layers:
            given = _output_shape(layer, shape)
            yield layer, shape, given
            shape = given

    @property
    def output_shape(self) -> Shape:
        """(steps, classes)."""
        return [given for _, _, given in self.shapes()][-1]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for layer in self.layers for array in weights(layer))

    def folded(self) -> Graph:
        """The same function with the least work: norms and activations folded wherever that is exact.

        A norm goes into the linear convolution or dense layer before it, else into the input weights of the dense,
        recurrent or unpadded convolution layer after it. One between a ReLU and a zero-padded convolution stays: the
        padding is zero after the shift and must not be before it.
        """
        layers = list(self.layers)
        position = 0
        while position + 1 < len(layers):
            fused = _fuse(layers[position], layers[position + 1])
            if fused is None:
                position += 1
            else:
                layers[position : position + 2] = [fused]
                position = max(position - 1, 0)
        return Graph(self.input_shape, tuple(layers))


def weights(layer: Layer) -> tuple[Array, ...]:
    """All arrays of a layer."""
    match layer:
        case Conv() | Dense():
            return (layer.kernel, layer.bias)
        case Affine():
            return (layer.scale, layer.shift)
        case Recurrent():
            return tuple(array for _, cell in layer.cells for array in cell.weights)
        case _:
            return ()


def _fuse(first: Layer, second: Layer) -> Layer | None:
    """One layer that does what both do, or None."""
    match first, second:
        case ((Conv() | Dense()), Affine()) if first.activation == "linear":
            return replace(first, kernel=first.kernel * second.scale, bias=first.bias * second.scale + second.shift)
        case ((Conv() | Dense()), Activation()) if first.activation == "linear" and second.function in (
            "relu",
            "relu6",
        ):
            return replace(first, activation=second.function)
        case Affine(), Affine():
            return replace(first, scale=first.scale * second.scale, shift=first.shift * second.scale + second.shift)
        case Affine(), Dense():
            return _absorb(first, second)
        case Affine(), Conv(padding="valid"):
            return _absorb(first, second)
        case Affine(), Recurrent():
            forward, backward = (cell and _absorb(first, cell) for cell in (second.forward, second.backward))
            return replace(second, forward=forward, backward=backward)
        case Activation(function="linear"), _:
            return second
        case _, Activation(function="linear"):
            return first
        case _:
            return None


_Linear = TypeVar("_Linear", bound=Conv | Dense | LstmCell | GruCell)


def _absorb(norm: Affine, layer: _Linear) -> _Linear:
    """The layer for an input that the norm has not seen."""
    shift = (norm.shift @ layer.kernel).reshape(-1, layer.bias.size).sum(axis=0)  # a convolution's over its window
    return replace(layer, kernel=norm.scale[:, None] * layer.kernel, bias=layer.bias + shift)


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    match layer:
        case Conv():
            _expect(len(shape) == 3 and shape[2] == layer.kernel.shape[2], layer, shape)
            return (*_windows(layer, shape, layer.kernel.shape[:2]), int(layer.kernel.shape[3]))
        case Pool():
            _expect(len(shape) == 3, layer, shape)
            return (*_windows(layer, shape, layer.size), shape[2])
        case Affine():
            _expect(shape[-1] == layer.scale.size, layer, shape)
            return shape
        case Activation():
            return shape
        case Reshape():
            _expect(math.prod(shape) == math.prod(layer.shape), layer, shape)
            return layer.shape
        case Permute():
            _expect(sorted(layer.axes) == list(range(len(shape))), layer, shape)
            return tuple(shape[axis] for axis in layer.axes)
        case Dense():
            _expect(shape[-1] == layer.kernel.shape[0], layer, shape)
            return (*shape[:-1], int(layer.kernel.shape[1]))
        case Recurrent():
            _expect(len(shape) == 2 and all(shape[1] == cell.kernel.shape[0] for _, cell in layer.cells), layer, shape)
            units = [cell.units for _, cell in layer.cells]
            _expect(layer.merge == "concat" or len(set(units)) == 1, layer, shape)
            return (shape[0], sum(units) if layer.merge == "concat" else units[0])


def _windows(layer: Conv | Pool, shape: Shape, size: tuple[int, ...]) -> tuple[int, int]:
    counts = [
        -(-length // stride) if layer.padding == "same" else (length - window) // stride + 1
        for length, window, stride in zip(shape, size, layer.strides, strict=False)
    ]
    _expect(min(counts) > 0, layer, shape)
    return counts[0], counts[1]


def _expect(holds: bool, layer: Layer, shape: Shape) -> None:
    if not holds:
        raise ModelFileError(
            f"layer {layer.name!r} ({type(layer).__name__}) cannot take {shape}: its weights or its settings do not fit"
            " the layer before it; was the file put together from two models?"
        )


Observer: TypeAlias = Callable[[str, Array], None]
"""Called with the name of a value and the value, (N, ...) float32."""
