"""Layers that make one value of several."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ....graph.nodes import Affine, Operator, Permute
from ..builder import Layer, Value, converts

_OPERATORS: dict[str, Operator] = {"Add": "add", "Maximum": "maximum", "Minimum": "minimum", "Multiply": "multiply"}


@converts(*_OPERATORS)
def merge(layer: Layer) -> Value:
    """Sum, maximum, minimum or product, element by element."""
    return _joined(layer, "", _OPERATORS[layer.kind])


@converts("Average")
def average(layer: Layer) -> Value:
    """The mean, element by element."""
    total = _joined(layer, "sum", "add")
    share = np.full(total.shape[-1:], 1 / len(layer.inputs), np.float32)
    return layer.put(Affine("", share, share * 0), total)


@converts("Subtract")
def subtract(layer: Layer) -> Value:
    """The difference of two values."""
    first, second = _two(layer)
    return layer.binary("", "subtract", first, second)


@converts("Concatenate")
def concatenate(layer: Layer) -> Value:
    """Values joined along an axis."""
    inputs = layer.inputs
    if not inputs:
        raise layer.error("takes no values; save the model again")
    axis = layer.sample_axis(layer.settings.get("axis", -1), len(inputs[0].shape))
    return layer.concat("", axis, *inputs)


@converts("Dot")
def dot(layer: Layer) -> Value:
    """Products along one axis of two values."""
    first, second = _two(layer)
    layer.expect("normalize", False, None)
    axes = layer.get("axes")
    axes = axes if isinstance(axes, list) else [axes, axes]
    if len(axes) != 2 or not {len(first.shape), len(second.shape)} <= {1, 2}:
        raise layer.error(f"takes {first.shape} and {second.shape} along {axes!r}; supported: one axis of one or two")
    rows, columns = (
        _with_last(layer, part, x, layer.sample_axis(axis, len(x.shape)))
        for part, x, axis in (("first", first, axes[0]), ("second", second, axes[1]))
    )
    result = layer.matmul("", rows, columns, transposed=True)
    kept = tuple(rows.shape[:1] * (len(first.shape) - 1) + columns.shape[:1] * (len(second.shape) - 1))
    return layer.reshape("without unit axes", result, kept or (1,))


def _with_last(layer: Layer, part: str, x: Value, axis: int) -> Value:
    """Return a matrix whose last axis is this one."""
    if len(x.shape) == 1:
        return layer.reshape(part, x, (1, *x.shape))
    return x if axis == 1 else layer.put(Permute(part, (1, 0)), x)


def _joined(layer: Layer, part: str, operator: Operator) -> Value:
    """Combine all values with an operator."""
    if not layer.inputs:
        raise layer.error("takes no values; save the model again")
    last = len(layer.inputs)

    def joined(first: Value, numbered: tuple[int, Value]) -> Value:
        number, second = numbered
        return layer.binary(part if number == last else f"{part}:{number}".lstrip(":"), operator, first, second)

    return reduce(joined, enumerate(layer.inputs[1:], 2), layer.inputs[0])


def _two(layer: Layer) -> tuple[Value, Value]:
    if len(layer.inputs) != 2:
        raise layer.error(f"takes {len(layer.inputs)} values, expected two")
    first, second = layer.inputs
    return first, second
