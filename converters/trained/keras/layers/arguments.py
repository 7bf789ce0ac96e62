"""Reads arguments of operations: Keras 3 has them in the settings and the call, tf.keras 2 by name in the call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....graph.cells import Array
from ..builder import Layer, Value
from ..config import MAX_SIZE

_REQUIRED = object()


def argument(layer: Layer, *names: str, place: int | None = None, default: Any = _REQUIRED) -> Any:
    """Read an argument of an operation.

    Args:
        layer: the operation.
        names: the names of the argument in Keras 3 and TensorFlow.
        place: its position in the call, where it may come without a name.
        default: returned if it is absent; without a default it must be present.

    Raises:
        ModelFileError: it is absent.
    """
    for source in (layer.keywords, layer.settings):
        for name in names:
            if name in source:
                return source[name]
    if place is not None and place < len(layer.args):
        return layer.args[place]
    if default is _REQUIRED:
        raise layer.error(f"is called without {names[0]!r}; save the model again")
    return default


def first(layer: Layer) -> Value:
    """Return the value that an operation works on."""
    if layer.args and isinstance(layer.args[0], Value):
        return layer.args[0]
    if not layer.inputs:
        raise layer.error("takes no value")
    return layer.inputs[0]


def listed(layer: Layer) -> list[Value]:
    """Return the values that an operation takes as a list; numbers among them become constants."""
    parts = layer.args[0] if layer.args and isinstance(layer.args[0], list) else layer.inputs
    values = [part for part in parts if isinstance(part, Value)]
    if not values:
        raise layer.error("takes no value")
    return [operand(layer, f"constant {index}", part, batched(values)) for index, part in enumerate(parts)]


def batched(values: Sequence[Value]) -> Value:
    """Return the first value that has a batch axis, or else the first value."""
    return next((value for value in values if value.batched), values[0])


def operand(layer: Layer, part: str, raw: object, like: Value) -> Value:
    """Return a value as it is, or numbers of the file as a constant with as many axes as another value.

    Raises:
        ModelFileError: it is not a value or numbers, or it has numbers of several images.
    """
    if isinstance(raw, Value):
        return raw
    numbers = array(layer, raw)
    rank = len(like.shape)
    if like.batched and numbers.ndim == rank + 1 and len(numbers) == 1:
        numbers = numbers[0]
    if numbers.ndim > rank:
        raise layer.error(f"takes numbers of shape {numbers.shape} beside a value of shape {like.shape} per image")
    return layer.constant(part, numbers.reshape((1,) * (rank - numbers.ndim) + numbers.shape))


def array(layer: Layer, raw: object) -> Array:
    """Read numbers of the file.

    Raises:
        ModelFileError: they are no numbers, or not finite.
    """
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(raw, np.float32)
    except (OverflowError, ValueError, TypeError) as error:
        raise layer.error(f"takes {str(raw)[:100]!r}, expected a value or numbers") from error
    if raw is None or isinstance(raw, str) or not np.isfinite(numbers).all() or numbers.size > MAX_SIZE:
        raise layer.error(f"takes {str(raw)[:100]!r}, expected a value or numbers")
    return numbers


def number(layer: Layer, raw: object) -> float:
    """Read one number of the file."""
    numbers = array(layer, raw)
    if numbers.size != 1:
        raise layer.error(f"takes {str(raw)[:100]!r}, expected one number")
    return float(numbers.reshape(()))


def wholes(layer: Layer, raw: object) -> list[int | None]:
    """Read one integer or a list of them, which may be computed; None stands for the number of images.

    Raises:
        ModelFileError: they are no integers, or depend on the image.
    """
    if isinstance(raw, np.ndarray):
        raw = raw.tolist()
    numbers: list[int | None] = []
    for item in raw if isinstance(raw, list) else [raw]:
        if isinstance(item, Value):
            numbers += [_whole(layer, value) for value in _computed(layer, item)]
        else:
            numbers.append(_whole(layer, item))
    return numbers


def whole(layer: Layer, raw: object) -> int:
    """Read one integer."""
    numbers = wholes(layer, raw)
    if len(numbers) != 1 or numbers[0] is None:
        raise layer.error(f"takes {str(raw)[:100]!r}, expected a whole number")
    return numbers[0]


def _computed(layer: Layer, value: Value) -> list[float]:
    numbers = layer.builder.constant(value)
    if numbers is None:
        raise layer.error(f"its numbers, {value.name!r}, depend on the image; supported: the same for every image")
    return [float(number) for number in numbers.reshape(-1)]


def _whole(layer: Layer, raw: object) -> int | None:
    if raw is None or (isinstance(raw, float) and np.isnan(raw)):
        return None
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if type(raw) is not int or abs(raw) > MAX_SIZE:
        raise layer.error(f"takes {str(raw)[:100]!r}, expected a whole number")
    return raw


def axis_of(layer: Layer, axis: object, x: Value, more: int = 0) -> int:
    """Convert an axis as Keras counts to the axis of a sample, for a value with `more` axes than `x`."""
    rank = len(x.shape) + more
    place = whole(layer, axis)
    if x.batched:
        return layer.sample_axis(place, rank)
    if not -rank <= place < rank:
        raise layer.error(f"axis {place} of a value with {rank} axes; save the model again")
    return place % rank


def axes_of(layer: Layer, axes: object, x: Value) -> tuple[int, ...]:
    """Read one axis or several; None: all of them."""
    if axes is None:
        return tuple(axis_of(layer, axis, x) for axis in range(len(x.shape) + x.batched))
    places = wholes(layer, axes)
    numbers = tuple(sorted(axis_of(layer, axis, x) for axis in places))
    if len(set(numbers)) < len(numbers):
        raise layer.error(f"axes {axes!r}, expected different ones")
    return numbers
