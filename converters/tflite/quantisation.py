"""Chooses which numbers the integers of int8 tensors stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import ConversionError
from edge_crnn.model.spec import Quantisation

from ..graph.cells import Array
from ..graph.graph import Graph, Ranges
from ..graph.nodes import Concat, Conv, ConvTranspose, Dense, Permute, Reshape, Reverse

SIGMOID_OUT = Quantisation(1 / 256, -128)
"""Quantisation of the results of sigmoid and softmax kernels."""
TANH_OUT = Quantisation(1 / 128, 0)
"""Quantisation of the results of the tanh kernel."""

_NOTHING = 127 * float(np.finfo(np.float32).tiny)  # a scale below the normal numbers may round to 0
_OF_ZEROS = 1 / 255
"""Scale of values that are always 0, chosen so that XNNPACK accepts its ratio to the scales before and after it."""
_LARGEST_BIAS = 1 << 28  # which leaves the sum of products its part of 32 bits
_LARGEST_RATIO = 200  # 256 is refused
_SAME_VALUES = (Concat, Permute, Reshape, Reverse)


def quantisation_of(name: str, ranges: Ranges) -> Quantisation:
    """Return asymmetric int8 over the calibrated range of a value, with zero exactly representable.

    What follows a colon in a tensor's name tells tensors of the same value apart.

    Raises:
        ConversionError: there is no range of that name.
    """
    value = name if name in ranges else name.rpartition(":")[0]
    if value not in ranges:
        raise ConversionError(f"value {value!r} was never seen in calibration; this is a defect of edge-crnn")
    low, high = min(ranges[value][0], 0.0), max(ranges[value][1], 0.0)
    scale = (high - low) / 255 or _OF_ZEROS
    return Quantisation(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def quantise(value: Array, quantisation: Quantisation) -> npt.NDArray[np.int8]:
    """Round to the nearest integers."""
    integers = np.rint(value / quantisation.scale) + quantisation.zero_point
    return np.asarray(np.clip(integers, -128, 127), np.int8)


def quantise_weight(value: Array, axis: int, least: Array | float = 0.0) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise to symmetric int8 with one scale per index of `axis`, none below `least`: value ≈ integers * scales."""
    others = tuple(other for other in range(value.ndim) if other != axis)
    largest = np.abs(value).max(axis=others)
    # A channel of zeros has the scale of another: XNNPACK refuses one far from what the result's scale asks for.
    spare = largest.max(initial=0.0) / 127 if largest.max(initial=0.0) > _NOTHING else 1.0
    scales = np.maximum(np.where(largest > _NOTHING, largest / 127, spare), least).astype(np.float32)
    shape = [1] * value.ndim
    shape[axis] = -1
    integers = np.clip(np.rint(value / scales.reshape(shape)), -127, 127).astype(np.int8)
    return integers, scales


def least_scales(bias: Array, operand: Quantisation) -> Array:
    """Return the smallest scales of a kernel's channels for which the bias, at the product's scale, fits int32.

    A channel that weight decay has all but emptied has a tiny kernel, and still the shift of its norm.
    """
    return np.asarray(np.abs(bias) / (operand.scale * _LARGEST_BIAS), np.float32)


def shared_ranges(graph: Graph, ranges: Ranges) -> Ranges:
    """Return the ranges to quantise with: a value that only a concatenation uses gets the range of the result.

    CONCATENATION copies bytes, so that its operands must share a quantisation. A kernel that can choose that of its
    result then writes it as the concatenation wants it. Where a value leaves the stack for the head, it keeps its own.
    """
    shared = dict(ranges)
    joined: set[str] = set()
    for node in reversed(graph.nodes):
        if isinstance(node, Concat) or (node.name in joined and isinstance(node, _SAME_VALUES)):
            for name in node.inputs:
                alone = len(graph.consumers[name]) == 1 and (name in graph.head) == (node.name in graph.head)
                if alone and name in shared and node.name in shared:
                    shared[name] = shared[node.name]
                    joined.add(name)
    for node in graph.nodes:
        if isinstance(node, Conv | ConvTranspose | Dense) and node.name in shared and node.inputs[0] in shared:
            shared[node.name] = _widened(shared[node.name], node.kernel, quantisation_of(node.inputs[0], shared))
    return shared


def _widened(result: tuple[float, float], kernel: Array, operand: Quantisation) -> tuple[float, float]:
    """Widen the range of a product to the narrowest that XNNPACK accepts.

    It refuses a product whose scale is 256 times that of the result, or even ends the process. That happens behind
    activations that were 0 on all calibration images, with a bias of next to nothing.
    """
    low, high = result
    least = operand.scale * float(np.abs(kernel).max(initial=0.0)) / 127 / _LARGEST_RATIO * 255
    return (low, high) if high - low >= least else (low, low + least)
