"""The ops that a CRNN needs, each in any precision, on a subgraph under construction.

A tensor tells its precision itself: float32, or int8 with its quantisation. Ranges of int8 results come from
calibration, by the name of the graph's value. Op versions are the lowest that know the combination, so that older
interpreters load the file too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import Quantisation

from ..graph.layers import Array, Function, Padding
from ..graph.ranges import Ranges
from ..recipe import Precision
from .writer import Subgraph, Tensor

_NOTHING = 127 * float(np.finfo(np.float32).tiny)  # a scale below the normal numbers may round to 0
SIGMOID_OUT = Quantisation(1 / 256, -128)
TANH_OUT = Quantisation(1 / 128, 0)

FUSED = {
    "linear": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
"""Functions that a convolution or a matrix product applies itself."""

_PADDING = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}


class Ops:
    """Appends ops to one subgraph, at one precision."""

    def __init__(self, subgraph: Subgraph, precision: Precision, ranges: Ranges | None) -> None:
        self.subgraph = subgraph
        self.precision = precision
        self._ranges = ranges or {}

    # --- precision -----------------------------------------------------------------------------------------------

    def quantisation(self, name: str) -> Quantisation:
        """See `quantisation_of`."""
        return quantisation_of(name, self._ranges)

    def enter(self, x: Tensor, name: str) -> Tensor:
        """`x`, the graph's value `name`, as this precision takes it: int8 for static, float32 for all others."""
        if self.precision == "static" and x.dtype == "float32":
            given = self._like(f"{name}:quantised", x.shape, self.quantisation(name))
            self.subgraph.op("QUANTIZE", [x], [given], schema.QuantizeOptionsT())
            return given
        if self.precision != "static" and x.dtype == "int8":
            given = self._like(f"{name}:real", x.shape, None)
            self.subgraph.op("DEQUANTIZE", [x], [given], schema.DequantizeOptionsT(), 2)
            return given
        return x

    def _result(self, name: str, shape: Sequence[int], fixed: Quantisation | None = None) -> Tensor:
        if self.precision != "static":
            return self._like(name, shape, None)
        return self._like(name, shape, fixed or self.quantisation(name))

    def _like(self, name: str, shape: Sequence[int], quantisation: Quantisation | None) -> Tensor:
        return self.subgraph.tensor(name, shape, "float32" if quantisation is None else "int8", quantisation)

    def _version(self) -> int:
        return 2 if self.precision == "static" else 1

    # --- weights -------------------------------------------------------------------------------------------------

    def weight(self, name: str, value: Array, axis: int) -> Tensor:
        """A weight in this precision; `axis` is the one of the output channels."""
        if self.precision == "float32":
            return self.subgraph.constant(name, value)
        if self.precision == "float16":
            return self._widened(name, value)
        integers, scales = quantise_weight(value, axis)
        return self.subgraph.channelwise(name, integers, scales, axis)

    def _widened(self, name: str, value: Array) -> Tensor:
        if np.abs(value).max(initial=0.0) > float(np.finfo(np.float16).max):
            raise ConversionError(f"weight {name!r} exceeds float16; use --recipe float32 or dynamic")
        half = self.subgraph.constant(f"{name}:half", value.astype(np.float16))
        whole = self.subgraph.tensor(name, value.shape)
        self.subgraph.op("DEQUANTIZE", [half], [whole], schema.DequantizeOptionsT(), 3)
        return whole

    def _bias(self, name: str, value: Array, x: Tensor, kernel: Array, axis: int) -> Tensor:
        if self.precision == "float16":  # LiteRT 1.1 to 1.3 misread a convolution whose bias is float32 beside it
            return self._widened(name, value)
        if self.precision != "static":
            return self.subgraph.constant(name, value)
        assert x.quantisation is not None
        scales = x.quantisation.scale * quantise_weight(kernel, axis)[1].astype(np.float64)
        integers = np.clip(np.rint(value / scales), -(2**31), 2**31 - 1).astype(np.int32)
        return self.subgraph.channelwise(name, integers, scales, 0)

    # --- layers --------------------------------------------------------------------------------------------------

    def conv(
        self,
        name: str,
        x: Tensor,
        kernel: Array,
        bias: Array,
        strides: tuple[int, int],
        padding: Padding,
        function: Function,
        shape: Sequence[int],
    ) -> Tensor:
        """2-D convolution of (N, H, W, C) with a kernel (height, width, in, out)."""
        ohwi = np.ascontiguousarray(kernel.transpose(3, 0, 1, 2))
        # With one input channel there is nothing to win from int8 weights, and XNNPACK has no kernel for it.
        plain = self.precision == "dynamic" and kernel.shape[2] == 1
        weight = self.subgraph.constant(f"{name}/kernel", ohwi) if plain else self.weight(f"{name}/kernel", ohwi, 0)
        given = self._result(name, shape)
        options = schema.Conv2DOptionsT(
            padding=_PADDING[padding],
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=1,
            dilationWFactor=1,
            fusedActivationFunction=FUSED[function],
        )
        version = {"static": 3, "dynamic": 1 if plain else 5}.get(self.precision, 1)
        self.subgraph.op(
            "CONV_2D", [x, weight, self._bias(f"{name}/bias", bias, x, ohwi, 0)], [given], options, version
        )
        return given

    def matmul(self, name: str, x: Tensor, kernel: Array, bias: Array | None, function: Function = "linear") -> Tensor:
        """Product over the last axis with a kernel (in, out)."""
        rows = np.ascontiguousarray(kernel.T)
        weight = self.weight(f"{name}/kernel", rows, 0)
        given = self._result(name, (*x.shape[:-1], kernel.shape[1]))
        options = schema.FullyConnectedOptionsT(
            fusedActivationFunction=FUSED[function],
            keepNumDims=True,
            asymmetricQuantizeInputs=self.precision == "dynamic",
        )
        constant = None if bias is None else self._bias(f"{name}/bias", bias, x, rows, 0)
        version = 12 if self.precision == "dynamic" else 6 if bias is None else 5
        self.subgraph.op("FULLY_CONNECTED", [x, weight, constant], [given], options, version)
        return given

    def pool(
        self,
        name: str,
        x: Tensor,
        kind: str,
        size: tuple[int, int],
        strides: tuple[int, int],
        padding: Padding,
        shape: Sequence[int],
    ) -> Tensor:
        """Pooling; the result keeps the quantisation of `x`."""
        given = self._like(name, shape, x.quantisation)
        options = schema.Pool2DOptionsT(
            padding=_PADDING[padding],
            strideH=strides[0],
            strideW=strides[1],
            filterHeight=size[0],
            filterWidth=size[1],
        )
        code = "MAX_POOL_2D" if kind == "max" else "AVERAGE_POOL_2D"
        self.subgraph.op(code, [x], [given], options, self._version())
        return given

    def affine(self, name: str, x: Tensor, scale: Array, shift: Array) -> Tensor:
        """`x * scale + shift` per channel."""
        if self.precision != "static":
            product = self.binary("MUL", f"{name}:scaled", x, self.subgraph.constant(f"{name}/scale", scale))
            return self.binary("ADD", name, product, self.subgraph.constant(f"{name}/shift", shift))
        # In int8 a 1×1 depthwise convolution keeps one scale per channel where MUL and ADD would share one.
        kernel = scale.reshape(1, 1, 1, -1)
        flat = (
            x if len(x.shape) == 4 else self.reshape(f"{name}:map", x, (1, 1, int(np.prod(x.shape[:-1])), x.shape[-1]))
        )
        given = self._result(name if flat is x else f"{name}:flat", flat.shape, self.quantisation(name))
        options = schema.DepthwiseConv2DOptionsT(
            padding=schema.Padding.VALID,
            strideH=1,
            strideW=1,
            dilationHFactor=1,
            dilationWFactor=1,
            depthMultiplier=1,
        )
        weight = self.weight(f"{name}/scale", kernel, 3)
        bias = self._bias(f"{name}/shift", shift, flat, kernel, 3)
        self.subgraph.op("DEPTHWISE_CONV_2D", [flat, weight, bias], [given], options, 3)
        return given if flat is x else self.reshape(name, given, x.shape)

    # --- element-wise --------------------------------------------------------------------------------------------

    def binary(self, code: str, name: str, a: Tensor, b: Tensor, fixed: Quantisation | None = None) -> Tensor:
        """ADD, SUB or MUL, with broadcasting; an int8 result has the quantisation `fixed`, or the calibrated one."""
        options = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}[code]()
        given = self._result(name, np.broadcast_shapes(a.shape, b.shape), fixed)
        self.subgraph.op(code, [a, b], [given], options, self._version())
        return given

    def average(self, name: str, a: Tensor, b: Tensor) -> Tensor:
        """(a + b) / 2."""
        if self.precision != "static":
            return self._times(name, self.binary("ADD", f"{name}:sum", a, b), 0.5)
        range_ = self.quantisation(name)
        twice = Quantisation(2 * range_.scale, range_.zero_point)
        half = self.fixed(f"{name}/half", np.array([0.5], np.float32))
        return self.binary("MUL", name, self.binary("ADD", f"{name}:sum", a, b, twice), half)

    def hard_sigmoid(self, name: str, x: Tensor) -> Tensor:
        """clip(0.2 x + 0.5) to 0..1, the gates of Keras before 2.3.

        As relu6(1.2 x + 3) / 6, which XNNPACK takes; in int8 as 0.2 x + 0.5, and what int8 cannot hold is clipped.
        """
        if self.precision == "static":
            centred = self._times(f"{name}:scaled", x, 0.2, Quantisation(1 / 254, 0))  # 127 is 0.5
            half = self.fixed(f"{name}/half", np.array([0.5], np.float32))
            return self.binary("ADD", name, centred, half, Quantisation(1 / 254, -128))
        three = self.subgraph.constant(f"{name}/three", np.array([3], np.float32))
        shifted = self.binary("ADD", f"{name}:shifted", self._times(f"{name}:scaled", x, 1.2), three)
        return self._times(name, self.activate(f"{name}:clipped", "relu6", shifted), 1 / 6)

    def fixed(self, name: str, value: Array) -> Tensor:
        """A constant operand of an element-wise op; in int8 quantised by its largest value."""
        if self.precision != "static":
            return self.subgraph.constant(name, value)
        scale = float(np.abs(value).max()) / 127 or 1.0
        return self.subgraph.constant(name, np.rint(value / scale).astype(np.int8), Quantisation(scale, 0))

    def _times(self, name: str, x: Tensor, factor: float, fixed: Quantisation | None = None) -> Tensor:
        return self.binary("MUL", name, x, self.fixed(f"{name}/factor", np.array([factor], np.float32)), fixed)

    def activate(self, name: str, function: Function, x: Tensor) -> Tensor:
        """An element-wise function, or softmax over the last axis."""
        match function:
            case "sigmoid":
                return self._unary("LOGISTIC", name, x, SIGMOID_OUT)
            case "tanh":
                return self._unary("TANH", name, x, TANH_OUT)
            case "softmax":
                return self._unary("SOFTMAX", name, x, SIGMOID_OUT, schema.SoftmaxOptionsT(beta=1.0))
            case "relu":
                return self._unary("RELU", name, x)
            case "relu6":
                return self._unary("RELU6", name, x)
            case "linear":
                return x

    def _unary(
        self,
        code: str,
        name: str,
        x: Tensor,
        fixed: Quantisation | None = None,
        options: object | None = None,
    ) -> Tensor:
        given = self._result(name, x.shape, fixed)
        self.subgraph.op(code, [x], [given], options, self._version())
        return given

    # --- shape ---------------------------------------------------------------------------------------------------

    def reshape(self, name: str, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Row-major reshape."""
        if tuple(shape) == x.shape:
            return x
        sizes = np.array(shape, np.int32)
        given = self.subgraph.tensor(name, shape, x.dtype, x.quantisation)
        target = self.subgraph.constant(f"{name}/shape", sizes)
        self.subgraph.op("RESHAPE", [x, target], [given], schema.ReshapeOptionsT(newShape=sizes.tolist()))
        return given

    def transpose(self, name: str, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Axis i of the result is axis `axes[i]` of `x`."""
        given = self.subgraph.tensor(name, [x.shape[axis] for axis in axes], x.dtype, x.quantisation)
        order = self.subgraph.constant(f"{name}/axes", np.array(axes, np.int32))
        self.subgraph.op("TRANSPOSE", [x, order], [given], schema.TransposeOptionsT(), 2 if x.dtype == "int8" else 1)
        return given

    def split(self, name: str, x: Tensor, parts: int) -> list[Tensor]:
        """Equal parts along the last axis."""
        width = x.shape[-1] // parts
        given = [
            self.subgraph.tensor(f"{name}:{part}", (*x.shape[:-1], width), x.dtype, x.quantisation)
            for part in range(parts)
        ]
        axis = self.subgraph.constant(f"{name}/axis", np.array(len(x.shape) - 1, np.int32))
        self.subgraph.op("SPLIT", [axis, x], given, schema.SplitOptionsT(numSplits=parts), self._version())
        return given

    def concat(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        """Joined along the last axis; in int8 the parts must share their quantisation."""
        first = parts[0]
        width = sum(each.shape[-1] for each in parts)
        given = self.subgraph.tensor(name, (*first.shape[:-1], width), first.dtype, first.quantisation)
        options = schema.ConcatenationOptionsT(axis=len(first.shape) - 1)
        self.subgraph.op("CONCATENATION", parts, [given], options, self._version())
        return given


def quantisation_of(name: str, ranges: Ranges) -> Quantisation:
    """Asymmetric int8 over the calibrated range of a value, zero exactly representable.

    What follows a colon in a tensor's name tells tensors of the same value apart.

    Raises:
        ConversionError: there is no range of that name.
    """
    value = name if name in ranges else name.rpartition(":")[0]
    if value not in ranges:
        raise ConversionError(f"value {value!r} was never seen in calibration; this is a defect of edge-crnn")
    low, high = min(ranges[value][0], 0.0), max(ranges[value][1], 0.0)
    scale = (high - low) / 255 or 1.0
    return Quantisation(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def quantise_weight(value: Array, axis: int) -> tuple[npt.NDArray[np.int8], Array]:
    """Symmetric int8 with one scale per index of `axis`: value ≈ integers * scales."""
    others = tuple(each for each in range(value.ndim) if each != axis)
    largest = np.abs(value).max(axis=others)
    scales = np.where(largest > _NOTHING, largest / 127, 1.0).astype(np.float32)
    shape = [1] * value.ndim
    shape[axis] = -1
    integers = np.clip(np.rint(value / scales.reshape(shape)), -127, 127).astype(np.int8)
    return integers, scales
