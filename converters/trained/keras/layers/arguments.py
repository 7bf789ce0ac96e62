"""Arguments of operations: Keras 3 has them among the settings and in the call, tf.keras 2 by name in the call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....graph.cells import Array
from ..builder import Layer, Value
from ..config import MAX_SIZE

_REQUIRED = object()


def argument(layer: Layer, *names: str, place: int | None = None, default: Any = _REQUIRED) -> Any:
    """An argument of an operation.

    Args:
        layer: the operation.
        names: that Keras 3 and TensorFlow give the argument.
        place: of the argument in the call, where it may come without a name.
        default: where it is absent; without a default it must be there.

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
    """The value that an operation works on."""
    if layer.args and isinstance(layer.args[0], Value):
        return layer.args[0]
    if not layer.inputs:
        raise layer.error("takes no value")
    return layer.inputs[0]


def listed(layer: Layer) -> list[Value]:
    """The values that an operation takes as a list; numbers among them become constants."""
    parts = layer.args[0] if layer.args and isinstance(layer.args[0], list) else layer.inputs
    values = [part for part in parts if isinstance(part, Value)]
    if not values:
        raise layer.error("takes no value")
    return [operand(layer, f"constant {index}", part, batched(values)) for index, part in enumerate(parts)]


def batched(values: Sequence[Value]) -> Value:
    """The first value that has a batch axis, or else the first one."""
    return next((value for value in values if value.batched), values[0])


def operand(layer: Layer, part: str, given: object, like: Value) -> Value:
    """A value, or numbers of the file as a constant with as many axes as another value.

    Raises:
        ModelFileError: no numbers, or numbers of several images.
    """
    if isinstance(given, Value):
        return given
    numbers = array(layer, given)
    rank = len(like.shape)
    if like.batched and numbers.ndim == rank + 1 and len(numbers) == 1:
        numbers = numbers[0]
    if numbers.ndim > rank:
        raise layer.error(f"takes numbers of shape {numbers.shape} beside a value of shape {like.shape} per image")
    return layer.constant(part, numbers.reshape((1,) * (rank - numbers.ndim) + numbers.shape))


def array(layer: Layer, given: object) -> Array:
    """Numbers of the file.

    Raises:
        ModelFileError: no numbers, or not finite ones.
    """
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(given, np.float32)
    except (OverflowError, ValueError, TypeError) as error:
        raise layer.error(f"takes {str(given)[:100]!r}, expected a value or numbers") from error
    if given is None or isinstance(given, str) or not np.isfinite(numbers).all() or numbers.size > MAX_SIZE:
        raise layer.error(f"takes {str(given)[:100]!r}, expected a value or numbers")
    return numbers


def number(layer: Layer, given: object) -> float:
    """One number of the file."""
    numbers = array(layer, given)
    if numbers.size != 1:
        raise layer.error(f"takes {str(given)[:100]!r}, expected one number")
    return float(numbers.reshape(()))


def wholes(layer: Layer, given: object) -> list[int | None]:
    """Whole numbers, one or in a list, also computed ones; None stands for the number of images.

    Raises:
        ModelFileError: other numbers, or ones that depend on the image.
    """
    if isinstance(given, np.ndarray):
        given = given.tolist()
    numbers: list[int | None] = []
    for item in given if isinstance(given, list) else [given]:
        if isinstance(item, Value):
            numbers += [_whole(layer, value) for value in _computed(layer, item)]
        else:
            numbers.append(_whole(layer, item))
    return numbers


def whole(layer: Layer, given: object) -> int:
    """One whole number."""
    numbers = wholes(layer, given)
    if len(numbers) != 1 or numbers[0] is None:
        raise layer.error(f"takes {str(given)[:100]!r}, expected a whole number")
    return numbers[0]


def _computed(layer: Layer, value: Value) -> list[float]:
    numbers = layer.builder.constant(value)
    if numbers is None:
        raise layer.error(f"its numbers, {value.name!r}, depend on the image; supported: the same for every image")
    return [float(one) for one in numbers.reshape(-1)]


def _whole(layer: Layer, given: object) -> int | None:
    if given is None or (isinstance(given, float) and np.isnan(given)):
        return None
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if type(given) is not int or abs(given) > MAX_SIZE:
        raise layer.error(f"takes {str(given)[:100]!r}, expected a whole number")
    return given


def axis_of(layer: Layer, axis: object, x: Value, more: int = 0) -> int:
    """An axis as Keras counts → the axis of a sample, of a value with so many more axes than `x`."""
    rank = len(x.shape) + more
    place = whole(layer, axis)
    if x.batched:
        return layer.sample_axis(place, rank)
    if not -rank <= place < rank:
        raise layer.error(f"axis {place} of a value with {rank} axes; save the model again")
    return place % rank


def axes_of(layer: Layer, axes: object, x: Value) -> tuple[int, ...]:
    """Several axes, or one; None: all of them."""
    if axes is None:
        return tuple(axis_of(layer, axis, x) for axis in range(len(x.shape) + x.batched))
    given = wholes(layer, axes)
    numbers = tuple(sorted(axis_of(layer, axis, x) for axis in given))
    if len(set(numbers)) < len(numbers):
        raise layer.error(f"axes {axes!r}, expected different ones")
    return numbers
