"""Matrix products with trained weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from ....graph.cells import Array
from ....graph.nodes import Dense, Shape
from ..builder import Layer, Value, converts
from ..config import MAX_SIZE
from .elementwise import activate

_LAST_AXIS = re.compile(
    r"(?P<before>(\.{3})?[a-z]*)(?P<inside>[a-z]),(?P=inside)(?P<out>[a-z])->(?P<kept>(\.{3})?[a-z]*)(?P=out)"
)


@converts("Dense")
def dense(layer: Layer) -> Value:
    """A matrix product over the last axis."""
    units = layer.size("units")
    kernel, bias = kernels_and_bias(layer, {"kernel": (*layer.x.shape[-1:], units)}, units)
    return activate(layer, layer.put(Dense("", kernel, bias), layer.x))


@converts("EinsumDense")
def einsum_dense(layer: Layer) -> Value:
    """A matrix product over the last axis, with a bias for any axes."""
    equation = layer.get("equation")
    x = layer.x
    match = _LAST_AXIS.fullmatch(equation.replace(" ", "")) if isinstance(equation, str) else None
    if match is None or match["before"] != match["kept"]:
        raise layer.error(f"equation {equation!r}; supported: products over the last axis alone, as in 'abc,cd->abd'")
    inside = x.shape[-1]
    out = _width(layer)
    shape = (*x.shape[:-1], out)
    axes = layer.settings.get("bias_axes") or ""
    output = match["kept"] + match["out"]
    letters = output.removeprefix("...")[-len(shape) :]
    lengths = dict(zip(letters, shape[-len(letters) :], strict=True))
    if not isinstance(axes, str) or not set(axes) <= set(letters):
        raise layer.error(f"bias_axes {axes!r} of an output {output!r}; save the model again")
    stored = tuple(lengths[letter] for letter in letters if letter in axes)
    arrays = layer.read({"kernel": (inside, out), **({"bias": stored} if axes else {})})
    flat = axes in ("", match["out"])
    bias = arrays["bias"] if axes and flat else np.zeros(out, np.float32)
    value = layer.put(Dense("" if flat else "product", arrays["kernel"], bias), x)
    if not flat:
        spread = tuple(lengths[letter] if letter in axes else 1 for letter in letters)
        value = layer.binary("", "add", value, layer.constant("bias", arrays["bias"].reshape(spread)))
    return activate(layer, value)


def _width(layer: Layer) -> int:
    shape = layer.get("output_shape")
    width = shape[-1] if isinstance(shape, list) and shape else shape
    if type(width) is not int or not 0 < width <= MAX_SIZE:
        raise layer.error(f"output_shape {shape!r}, expected whole numbers from 1 to {MAX_SIZE:,}")
    return width


def kernels_and_bias(layer: Layer, kernels: Mapping[str, Shape], out: int) -> list[Array]:
    """Read the layer's kernels and its bias, which is zero if it has none.

    Args:
        layer: whose weights are read; its setting `use_bias` says whether there is a bias.
        kernels: role of a kernel → its shape.
        out: length of the bias.

    Raises:
        ModelFileError: an array is missing, of another shape, or not finite.
    """
    bias = {"bias": (out,)} if layer.flag("use_bias") else {}
    arrays = layer.read({**kernels, **bias})
    return [*(arrays[role] for role in kernels), arrays["bias"] if bias else np.zeros(out, np.float32)]
