"""The ops that lowerings are made of, in any precision, on a subgraph under construction.

A tensor knows its own precision: float32, or int8 with its quantisation. The ranges of int8 results come from
calibration, by the name of the graph's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import Quantisation

from ..graph.cells import Array
from ..graph.graph import Ranges
from ..graph.nodes import Activation
from ..recipe import Form, Precision
from .quantisation import SIGMOID_OUT, TANH_OUT, least_scales, quantisation_of, quantise, quantise_weight
from .versions import version_of
from .writer import Subgraph, Tensor

FUSED: dict[Activation, int] = {
    "linear": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
"""Functions that ops apply to their own results."""

_ARITHMETIC = {
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
    "DIV": schema.DivOptionsT,
}


@dataclass(frozen=True)
class Weights:
    """The kernel and bias of an op."""

    name: str
    kernel: Array
    bias: Array | None
    axis: int
    """The kernel's axis of output channels."""
    float_or_static: bool = False
    """Whether dynamic int8 leaves the kernel in float32, because XNNPACK lacks the int8 op."""
    parts: tuple[str, str] = ("kernel", "bias")
    """Names of kernel and bias."""


class Ops:
    """Appends ops to one subgraph, at one precision."""

    def __init__(
        self, subgraph: Subgraph, precision: Precision, ranges: Ranges | None = None, form: Form = "loop"
    ) -> None:
        self.subgraph = subgraph
        self.precision = precision
        self.form = form
        self._ranges = ranges or {}

    @property
    def static(self) -> bool:
        """Whether results are int8."""
        return self.precision == "static"

    def op(self, code: str, inputs: Sequence[Tensor | None], output: Tensor, options: object | None = None) -> Tensor:
        """Append an op with one output, in the lowest version that supports it."""
        self.subgraph.op(code, inputs, [output], options, version_of(code, inputs, output, options))
        return output

    # --- precision -----------------------------------------------------------------------------------------------

    def quantisation(self, name: str) -> Quantisation:
        """See `quantisation_of`."""
        return quantisation_of(name, self._ranges)

    def enter(self, x: Tensor, name: str) -> Tensor:
        """Convert `x`, the graph's value `name`, to the type of this precision: int8 if static, otherwise float32."""
        if self.static and x.dtype == "float32":
            entered = self.like(f"{name}:quantised", x.shape, self.quantisation(name))
            return self.op("QUANTIZE", [x], entered, schema.QuantizeOptionsT())
        if not self.static and x.dtype == "int8":
            entered = self.like(f"{name}:real", x.shape, None)
            return self.op("DEQUANTIZE", [x], entered, schema.DequantizeOptionsT())
        return x

    def requantised(self, name: str, x: Tensor, quantisation: Quantisation | None) -> Tensor:
        """Requantise `x`, unless it has that quantisation already."""
        if x.quantisation == quantisation:
            return x
        return self.op("QUANTIZE", [x], self.like(name, x.shape, quantisation), schema.QuantizeOptionsT())

    def result(self, name: str, shape: Sequence[int], fixed: Quantisation | None = None) -> Tensor:
        """Make a tensor for a result: float32, or int8 with the quantisation `fixed` or the calibrated one."""
        return self.like(name, shape, (fixed or self.quantisation(name)) if self.static else None)

    def like(self, name: str, shape: Sequence[int], quantisation: Quantisation | None) -> Tensor:
        """Make a tensor with this quantisation, or float32 without any."""
        return self.subgraph.tensor(name, shape, "float32" if quantisation is None else "int8", quantisation)

    # --- constants -----------------------------------------------------------------------------------------------

    def integers(self, name: str, *values: int) -> Tensor:
        """Add a list of int32: sizes, axes or places."""
        return self.subgraph.constant(name, np.array(values, np.int32))

    def number(self, name: str, value: float) -> Tensor:
        """Add a float32 number to calculate with."""
        return self.subgraph.constant(name, np.array([value], np.float32))

    def fixed(self, name: str, value: Array) -> Tensor:
        """Add a constant operand of an element-wise op; in int8 it is quantised by its largest value."""
        if not self.static:
            return self.subgraph.constant(name, value)
        scale = float(np.abs(value).max()) / 127 or 1.0
        return self.subgraph.constant(name, np.rint(value / scale).astype(np.int8), Quantisation(scale, 0))

    def constant(self, name: str, value: Array, batch: int) -> Tensor:
        """Add a value of the graph that is the same for every sample of a batch."""
        values = np.broadcast_to(value, (batch, *value.shape))
        if not self.static:
            return self.subgraph.constant(name, values)
        quantisation = self.quantisation(name)
        return self.subgraph.constant(name, quantise(values, quantisation), quantisation)

    def weight(self, name: str, value: Array, axis: int, least: Array | float = 0.0) -> Tensor:
        """Add a weight in this precision; `axis` is that of the output channels; for `least` see `quantise_weight`."""
        if self.precision == "float32":
            return self.subgraph.constant(name, value)
        if self.precision == "float16":
            return self._widened(name, value)
        integers, scales = quantise_weight(value, axis, least)
        return self.subgraph.channelwise(name, integers, scales, axis)

    def _widened(self, name: str, value: Array) -> Tensor:
        if np.abs(value).max(initial=0.0) > float(np.finfo(np.float16).max):
            raise ConversionError(f"weight {name!r} exceeds float16; use --recipe float32 or dynamic")
        half = self.subgraph.constant(f"{name}:half", value.astype(np.float16))
        whole = self.subgraph.tensor(name, value.shape)
        return self.op("DEQUANTIZE", [half], whole, schema.DequantizeOptionsT())

    def _bias(self, name: str, weights: Weights, x: Tensor, least: Array | float) -> Tensor | None:
        if weights.bias is None:
            return None
        if self.precision == "float16":  # LiteRT 1.1 to 1.3 misread a convolution whose bias is float32 beside it
            return self._widened(name, weights.bias)
        if x.quantisation is None:
            return self.subgraph.constant(name, weights.bias)
        _, scales = quantise_weight(weights.kernel, weights.axis, least)
        products = x.quantisation.scale * scales.astype(np.float64)
        integers = np.clip(np.rint(weights.bias / products), -(2**31), 2**31 - 1).astype(np.int32)
        return self.subgraph.channelwise(name, integers, products, 0)

    # --- arithmetic ----------------------------------------------------------------------------------------------

    def linear(
        self,
        code: str,
        name: str,
        shape: Sequence[int],
        x: Tensor,
        weights: Weights,
        options: object,
        *,
        before: Tensor | None = None,
        result: Tensor | None = None,
    ) -> Tensor:
        """Append an op that multiplies `x` by a kernel and adds a bias.

        Args:
            code: name of the op.
            name: name of the result.
            shape: shape of the result.
            x: the operand.
            weights: kernel and bias.
            options: options of the op.
            before: inputs before kernel, operand and bias, for an op that takes them in this order.
            result: tensor of the result; None: a new one.
        """
        least: Array | float = 0.0
        if x.quantisation is not None and weights.bias is not None:
            least = least_scales(weights.bias, x.quantisation)
        kernel_name, bias_name = (f"{weights.name}/{part}" for part in weights.parts)
        if weights.float_or_static and self.precision == "dynamic":
            kernel = self.subgraph.constant(kernel_name, weights.kernel)
        else:
            kernel = self.weight(kernel_name, weights.kernel, weights.axis, least)
        result = result or self.result(name, shape)
        bias = self._bias(bias_name, weights, x, least)
        return self.op(code, [before, kernel, x, bias] if before else [x, kernel, bias], result, options)

    def product(
        self, name: str, x: Tensor, kernel: Array, bias: Array | None, activation: Activation = "linear"
    ) -> Tensor:
        """Multiply the last axis by a kernel (in, out), and add a bias."""
        options = schema.FullyConnectedOptionsT(
            fusedActivationFunction=FUSED[activation],
            keepNumDims=True,
            asymmetricQuantizeInputs=self.precision == "dynamic",
        )
        weights = Weights(name, np.ascontiguousarray(kernel.T), bias, 0)
        return self.linear("FULLY_CONNECTED", name, (*x.shape[:-1], kernel.shape[1]), x, weights, options)

    def binary(
        self,
        code: str,
        name: str,
        a: Tensor,
        b: Tensor,
        fixed: Quantisation | None = None,
        activation: Activation = "linear",
    ) -> Tensor:
        """Append ADD, SUB, MUL or DIV, with broadcasting; see `result`."""
        result = self.result(name, np.broadcast_shapes(a.shape, b.shape), fixed)
        return self.op(code, [a, b], result, _ARITHMETIC[code](fusedActivationFunction=FUSED[activation]))

    def times(self, name: str, x: Tensor, factor: float, fixed: Quantisation | None = None) -> Tensor:
        """Multiply by a number."""
        return self.binary("MUL", name, x, self.fixed(f"{name}/factor", np.array([factor], np.float32)), fixed)

    def average(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """Compute (a + b) / 2."""
        if not self.static:
            return self.times(name, self.binary("ADD", f"{name}:sum", a, b), 0.5)
        range_ = self.quantisation(name)
        twice = Quantisation(2 * range_.scale, range_.zero_point)
        half = self.fixed(f"{name}/half", np.array([0.5], np.float32))
        return self.binary("MUL", name, self.binary("ADD", f"{name}:sum", a, b, twice), half)

    def unary(
        self, code: str, name: str, x: Tensor, fixed: Quantisation | None = None, options: object | None = None
    ) -> Tensor:
        """Append an element-wise op of one operand."""
        return self.op(code, [x], self.result(name, x.shape, fixed), options)

    def sigmoid(self, name: str, x: Tensor) -> Tensor:
        """Compute 1 / (1 + exp(-x))."""
        return self.unary("LOGISTIC", name, x, SIGMOID_OUT)

    def tanh(self, name: str, x: Tensor) -> Tensor:
        """Compute the hyperbolic tangent."""
        return self.unary("TANH", name, x, TANH_OUT)

    def hard_sigmoid(self, name: str, x: Tensor, slope: float) -> Tensor:
        """Compute slope x + 0.5, clipped to 0..1.

        It is written as relu6(6 slope x + 3) / 6, which XNNPACK supports; in int8 as slope x + 0.5, where the range of
        int8 clips.
        """
        if self.static:
            centred = self.times(f"{name}:scaled", x, slope, Quantisation(1 / 254, 0))  # 127 is 0.5
            half = self.fixed(f"{name}/half", np.array([0.5], np.float32))
            return self.binary("ADD", name, centred, half, Quantisation(1 / 254, -128))
        three = self.number(f"{name}/three", 3)
        shifted = self.binary("ADD", f"{name}:shifted", self.times(f"{name}:scaled", x, 6 * slope), three)
        return self.times(name, self.unary("RELU6", f"{name}:clipped", shifted), 1 / 6)

    # --- shape ---------------------------------------------------------------------------------------------------

    def reshape(self, name: str, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Reshape in row-major order."""
        if tuple(shape) == x.shape:
            return x
        reshaped = self.subgraph.tensor(name, shape, x.dtype, x.quantisation)
        target = self.integers(f"{name}/shape", *shape)
        return self.op("RESHAPE", [x, target], reshaped, schema.ReshapeOptionsT(newShape=[*map(int, shape)]))

    def transpose(self, name: str, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Permute the axes: axis i of the result is axis `axes[i]` of `x`."""
        transposed = self.subgraph.tensor(name, [x.shape[axis] for axis in axes], x.dtype, x.quantisation)
        order = self.integers(f"{name}/axes", *axes)
        return self.op("TRANSPOSE", [x, order], transposed, schema.TransposeOptionsT())

    def split(self, name: str, x: Tensor, parts: int, axis: int = -1) -> list[Tensor]:
        """Split into equal parts along an axis."""
        axis %= len(x.shape)
        shape = [length // parts if place == axis else length for place, length in enumerate(x.shape)]
        tensors = [self.subgraph.tensor(f"{name}:{part}", shape, x.dtype, x.quantisation) for part in range(parts)]
        place = self.subgraph.constant(f"{name}/axis", np.array(axis, np.int32))
        options = schema.SplitOptionsT(numSplits=parts)
        self.subgraph.op("SPLIT", [place, x], tensors, options, version_of("SPLIT", [place, x], tensors[0]))
        return tensors

    def concat(self, name: str, parts: Sequence[Tensor], axis: int = -1) -> Tensor:
        """Join values along an axis; in int8 the parts must share their quantisation."""
        first = parts[0]
        axis = axis % len(parts[0].shape)
        length = sum(part.shape[axis] for part in parts)
        shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
        joined = self.subgraph.tensor(name, shape, first.dtype, first.quantisation)
        return self.op("CONCATENATION", parts, joined, schema.ConcatenationOptionsT(axis=axis))

    def slice(self, name: str, x: Tensor, starts: Sequence[int], stops: Sequence[int], steps: Sequence[int]) -> Tensor:
        """Take every `step`-th element from `start` up to, but without, `stop`, along all axes."""
        shape = [len(range(*bounds)) for bounds in zip(starts, stops, steps, strict=True)]
        limits = {"starts": starts, "stops": stops, "steps": steps}
        bounds = [self.integers(f"{name}/{bound}", *values) for bound, values in limits.items()]
        part = self.subgraph.tensor(name, shape, x.dtype, x.quantisation)
        return self.op("STRIDED_SLICE", [x, *bounds], part, schema.StridedSliceOptionsT())

    def pad(self, name: str, x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
        """Pad with a number along all axes; in int8 the quantisation of `x` must be able to represent it."""
        shape = [before + length + after for length, (before, after) in zip(x.shape, pads, strict=True)]
        amounts = self.subgraph.constant(f"{name}/pads", np.array(pads, np.int32))
        padded = self.subgraph.tensor(name, shape, x.dtype, x.quantisation)
        if value == 0:
            return self.op("PAD", [x, amounts], padded, schema.PadOptionsT())
        filling = np.array(value, np.float32)
        if x.quantisation is None:
            constant = self.subgraph.constant(f"{name}/value", filling)
        else:
            constant = self.subgraph.constant(f"{name}/value", quantise(filling, x.quantisation), x.quantisation)
        return self.op("PADV2", [x, amounts, constant], padded, schema.PadV2OptionsT())
