"""Chooses op versions: the lowest that supports the types, so that older interpreters can load the file, too.

The rules are those of TensorFlow's `op_version.cc`, for what is written here. Where a lower version would load and
misread the file, as with one scale per channel in FULLY_CONNECTED, the higher one keeps those interpreters out.
"""

from __future__ import annotations

from collections.abc import Sequence

from .writer import Tensor

_ALWAYS_FIRST = ("DYNAMIC_UPDATE_SLICE", "ELU", "HARD_SWISH", "LEAKY_RELU", "PRELU", "RESHAPE")
"""Ops whose first version has an int8 kernel, or moves any type."""
_BY_RANK = {
    "DIV": ((5, 2),),
    "MAXIMUM": ((5, 3),),
    "MINIMUM": ((5, 3),),
    "PAD": ((5, 4),),
    "PADV2": ((5, 4),),
    "STRIDED_SLICE": ((5, 4),),
    "SUB": ((5, 3),),
    "TRANSPOSE": ((6, 6), (5, 4)),
}
"""Op → (number of axes, version that takes as many)."""


def version_of(code: str, inputs: Sequence[Tensor | None], output: Tensor, options: object | None = None) -> int:
    """Return the version of an op with these tensors and options."""
    tensors = [tensor for tensor in inputs if tensor is not None]
    integer = output.dtype == "int8"
    match code:
        case "CONV_2D" | "DEPTHWISE_CONV_2D" if integer:
            return 3
        case "CONV_2D":
            return 5 if tensors[1].dtype == "int8" else 1
        case "DEPTHWISE_CONV_2D":
            dilated = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1)) != (1, 1)
            return 2 if dilated else 1
        case "FULLY_CONNECTED" if not integer and tensors[1].dtype == "int8":
            return 12
        case "FULLY_CONNECTED":
            return 6 if len(tensors) == 2 else 5
        case "TRANSPOSE_CONV":
            return 4 if getattr(options, "fusedActivationFunction", 0) else 3
        case "DEQUANTIZE":
            return 3 if tensors[0].dtype == "float16" else 2
        case "QUANTIZE":
            return 1 if tensors[0].dtype == "float32" else 2
        case "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR":
            return 3  # the one that knows half-pixel centres
        case "MUL" if integer and _rescale(tensors, output) >= 1:
            return 3
    rank = max(len(tensor.shape) for tensor in (*tensors, output))
    by_rank = next((version for axes, version in _BY_RANK.get(code, ()) if rank >= axes), 1)
    if not integer or code in _ALWAYS_FIRST:
        return by_rank
    return max(by_rank, 3 if code == "REVERSE_V2" else 2)


def _rescale(factors: Sequence[Tensor], product: Tensor) -> float:
    scales = [tensor.quantisation.scale if tensor.quantisation else 1.0 for tensor in (*factors, product)]
    return scales[0] * scales[1] / scales[2]
