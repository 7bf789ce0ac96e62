"""Operations that move elements without computing: other shapes, other orders, parts, copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....graph.nodes import Concat, Constant, Node, Pad, Permute, Reshape, Reverse, Slice
from ..builder import Layer, Value
from .arguments import argument, array, axes_of, axis_of, batched, first, listed, number, whole, wholes
from .elementwise import piece

_MAX_COPIES = 1024
_MAX_FILLED = 1 << 20
"""Largest number of elements of a constant that an operation creates."""


def _moved(layer: Layer) -> Value:
    """The value that an operation rearranges, whose first axis must be the batch axis."""
    x = first(layer)
    if x.time_major:
        raise layer.error("takes a value whose first axis is time; supported: to put its axes back first")
    return x


# --- shapes ----------------------------------------------------------------------------------------------------------


def squeeze(layer: Layer) -> Value:
    """The value without some or all axes of length 1."""
    x = _moved(layer)
    axes = argument(layer, "axis", "squeeze_dims", default=None)
    if axes in (None, []):
        dropped = tuple(axis for axis, length in enumerate(x.shape) if length == 1)
    else:
        dropped = axes_of(layer, axes, x)
    if wrong := [x.shape[axis] for axis in dropped if x.shape[axis] != 1]:
        raise layer.error(f"drops an axis of length {wrong[0]} of {x.shape}, expected length 1")
    return layer.reshape("", x, tuple(length for axis, length in enumerate(x.shape) if axis not in dropped))


def expand(layer: Layer) -> Value:
    """The value with one or more new axes of length 1."""
    x = _moved(layer)
    places = wholes(layer, argument(layer, "axis"))
    axes = {axis_of(layer, axis, x, len(places)) for axis in places}
    lengths = iter(x.shape)
    rank = len(x.shape) + len(places)
    return layer.reshape("", x, tuple(1 if axis in axes else next(lengths, 1) for axis in range(rank)))


def reshape(layer: Layer) -> Value:
    """The value in another shape, in row-major order; the batch axis stays."""
    x = _moved(layer)
    stated = wholes(layer, argument(layer, "newshape", "shape", place=1))
    target = stated
    if x.batched:
        if not stated or stated[0] not in (None, -1) or None in stated[1:]:
            raise layer.error(f"shape {stated}, expected -1 or the number of images first, and fixed lengths after it")
        target = stated[1:]
        if stated[0] == -1 and -1 in target:
            raise layer.error(f"shape {stated} leaves two lengths open")
    lengths = [length for length in target if length is not None]
    if len(lengths) < len(target) or lengths.count(-1) > 1 or any(length < 1 and length != -1 for length in lengths):
        raise layer.error(f"shape {stated}, expected positive lengths, and -1 once at most")
    fixed = math.prod(length for length in lengths if length != -1)
    shape = tuple(math.prod(x.shape) // fixed if length == -1 else length for length in lengths)
    if math.prod(shape) != math.prod(x.shape):
        raise layer.error(f"gives {shape} of {x.shape} per image; an image must not depend on the images beside it")
    return layer.reshape("", x, shape)


def transpose(layer: Layer) -> Value:
    """The value with its axes in another order."""
    x = first(layer)
    order = argument(layer, "axes", "perm", default=None)
    rank = len(x.shape) + x.batched
    return ordered(layer, x, list(range(rank))[::-1] if order is None else wholes(layer, order))


def swap_axes(layer: Layer) -> Value:
    """The value with two axes swapped."""
    x = _moved(layer)
    order = list(range(len(x.shape) + x.batched))
    first_axis, other = (_place(layer, argument(layer, name), len(order)) for name in ("axis1", "axis2"))
    order[first_axis], order[other] = order[other], order[first_axis]
    return ordered(layer, x, order)


def move_axis(layer: Layer) -> Value:
    """The value with some axes moved, and the others in their old order."""
    x = _moved(layer)
    rank = len(x.shape) + x.batched
    sources, places = (
        [_place(layer, axis, rank) for axis in wholes(layer, argument(layer, name))]
        for name in ("source", "destination")
    )
    order = [axis for axis in range(rank) if axis not in sources]
    for place, source in sorted(zip(places, sources, strict=False)):
        order.insert(place, source)
    return ordered(layer, x, order)


def _place(layer: Layer, axis: object, rank: int) -> int:
    number = whole(layer, axis)
    if not -rank <= number < rank:
        raise layer.error(f"axis {number} of a value with {rank} axes; save the model again")
    return number % rank


def ordered(layer: Layer, x: Value, order: Sequence[int | None], part: str = "") -> Value:
    """Permute the axes of `x`, the batch axis among them; the axis of steps may change places with the batch axis."""
    rank = len(x.shape) + x.batched
    axes = [axis for axis in order if axis is not None]
    if sorted(axes) != list(range(rank)):
        raise layer.error(f"axes {list(order)}, expected 0 to {rank - 1} in any order")
    if not x.batched:
        return layer.put(Permute(part, tuple(axes)), x)
    if axes == [1, 0, 2]:
        return replace(x, time_major=not x.time_major)
    if axes[0] != 0:
        raise layer.error(
            f"axes {axes} move the batch axis; supported: [1, 0, 2], steps before images, at the end of the model"
        )
    return layer.put(Permute(part, tuple(axis - 1 for axis in axes[1:])), x)


# --- parts -----------------------------------------------------------------------------------------------------------


def get_item(layer: Layer) -> Value:
    """`x[key]`, where the key has slices, integers, None and an ellipsis."""
    x = _moved(layer)
    key = argument(layer, "slice_spec", "key", place=1)
    slices: list[slice] = []
    axes: list[int | None] = []
    axis = -int(x.batched)
    for item in _whole_key(layer, x, key if isinstance(key, list) else [key]):
        if item is None:
            if axis < 0:
                raise layer.error("puts an axis before the batch axis; supported: after it")
            axes.append(None)
            continue
        if axis < 0:
            if not (isinstance(item, slice) and item in (slice(None), slice(0, None), slice(None, None, 1))):
                raise layer.error("takes some of the images; an image must not depend on the images beside it")
        else:
            slices.append(_slice(layer, item, x.shape[axis]))
            if isinstance(item, slice):
                axes.append(axis)
        axis += 1
    lengths = [len(range(part.start, part.stop, part.step)) for part in slices]
    shape = tuple(1 if axis is None else lengths[axis] for axis in axes)
    return chain(layer, x, [*_slicing(x, slices), *([Reshape("", shape)] if shape != tuple(lengths) else [])])


def _whole_key(layer: Layer, x: Value, items: list[Any]) -> list[Any]:
    """Expand a key to one item per axis."""
    items = [Ellipsis if isinstance(item, dict) else item for item in items]
    rank = len(x.shape) + x.batched
    dots = [place for place, item in enumerate(items) if item is Ellipsis]
    missing = rank - sum(item is not None and item is not Ellipsis for item in items)
    if len(dots) > 1 or missing < 0:
        raise layer.error(f"takes an item {str(items)[:100]} of a value with {rank} axes; save the model again")
    place = dots[0] if dots else len(items)
    return [*items[:place], *[slice(None)] * missing, *items[place + 1 :]]


def _slice(layer: Layer, item: object, length: int) -> slice:
    """Convert the key of one axis to a slice without open ends."""
    if not isinstance(item, slice):
        number = whole(layer, item)
        if not -length <= number < length:
            raise layer.error(f"takes element {number} of {length}")
        return slice(number % length, number % length + 1, 1)
    start, stop, step = (None if part is None else whole(layer, part) for part in (item.start, item.stop, item.step))
    if step == 0:
        raise layer.error("takes every 0th element")
    numbers = range(*slice(start, stop, step).indices(length))
    if not numbers:
        raise layer.error(f"takes no element: {start} to {stop} of {length}")
    return slice(numbers.start, numbers.stop, numbers.step)


def _slicing(x: Value, slices: Sequence[slice]) -> list[Node]:
    """Make the nodes that take these slices of `x`, one per axis, with the meaning of `range`."""
    ranges = [range(part.start, part.stop, part.step) for part in slices]
    forward = [numbers if numbers.step > 0 else numbers[::-1] for numbers in ranges]
    starts, steps = tuple(numbers.start for numbers in forward), tuple(numbers.step for numbers in forward)
    taken = Slice("", starts, tuple(numbers[-1] + 1 for numbers in forward), steps)
    turned = [Reverse("", axis) for axis, numbers in enumerate(ranges) if numbers.step < 0 and len(numbers) > 1]
    return [*([] if taken.shape(x.shape) == x.shape else [taken]), *turned]


def split(layer: Layer) -> tuple[Value, ...]:
    """Parts along an axis: a number of equal parts, or parts by cuts or by lengths."""
    x = _moved(layer)
    axis = axis_of(layer, argument(layer, "axis", default=0), x)
    length = x.shape[axis]
    ends = _ends(layer, length)
    starts = [0, *ends[:-1]]
    if ends[-1:] != [length] or any(start >= end for start, end in zip(starts, ends, strict=True)):
        raise layer.error(f"parts that end at {ends} of {length}; save the model again")
    return tuple(
        along(layer, x, axis, slice(start, end, 1), str(index))
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


def _ends(layer: Layer, length: int) -> list[int]:
    """List the ends of the parts of an axis: Keras gives the cuts, TensorFlow the lengths, of which one may be open."""
    sizes = argument(layer, "num_or_size_splits", default=None)
    cuts = argument(layer, "indices_or_sections") if sizes is None else sizes
    numbers = [number for number in wholes(layer, cuts) if number is not None]
    if not isinstance(cuts, list | np.ndarray):
        parts = max(1, *numbers)
        if length % parts:
            raise layer.error(f"{parts} equal parts of {length}; save the model again")
        return list(range(length // parts, length + 1, length // parts))
    if sizes is None:
        return [*numbers, length]
    rest = length - sum(number for number in numbers if number != -1)
    ends: list[int] = np.cumsum([rest if number == -1 else number for number in numbers]).tolist()
    return ends


def unstack(layer: Layer) -> tuple[Value, ...]:
    """The elements along an axis, without it."""
    x = _moved(layer)
    axis = axis_of(layer, argument(layer, "axis", default=0), x)
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    return tuple(
        layer.reshape(str(index), along(layer, x, axis, slice(index, index + 1, 1), piece(str(index), "row")), rest)
        for index in range(x.shape[axis])
    )


def along(layer: Layer, x: Value, axis: int, part: slice, name: str) -> Value:
    """Slice one axis of a sample."""
    slices = [part if axis == other else slice(0, length, 1) for other, length in enumerate(x.shape)]
    return chain(layer, x, _slicing(x, slices), name)


# --- orders ----------------------------------------------------------------------------------------------------------


def reverse(layer: Layer) -> Value:
    """The value with the elements of some axes in reverse order."""
    x = _moved(layer)
    return chain(layer, x, [Reverse("", axis) for axis in axes_of(layer, argument(layer, "axis", default=None), x)])


def chain(layer: Layer, x: Value, nodes: Sequence[Node], part: str = "") -> Value:
    """Chain nodes; the last one computes the value of the part."""
    for index, node in enumerate(nodes, 1):
        name = part if index == len(nodes) else piece(part, f"{node.kind} {index}")
        x = layer.put(replace(node, name=name), x)
    return x


# --- several values --------------------------------------------------------------------------------------------------


def concat(layer: Layer) -> Value:
    """Values joined along an axis."""
    values = listed(layer)
    return layer.put(Concat("", axis_of(layer, argument(layer, "axis", default=0), batched(values))), *values)


def stack(layer: Layer) -> Value:
    """Values joined along a new axis."""
    values = listed(layer)
    axis = axis_of(layer, argument(layer, "axis", default=0), batched(values), 1)
    raised = [
        layer.reshape(f"value {index}", value, (*value.shape[:axis], 1, *value.shape[axis:]))
        for index, value in enumerate(values)
    ]
    return layer.put(Concat("", axis), *raised)


# --- more elements ---------------------------------------------------------------------------------------------------


def pad(layer: Layer) -> Value:
    """The value padded with a constant."""
    x = _moved(layer)
    mode = argument(layer, "mode", default="constant")
    if str(mode).lower() != "constant":
        raise layer.unsupported(f"mode {mode!r}; supported: 'constant'")
    widths = array(layer, argument(layer, "pad_width", "paddings")).tolist()
    pads = [
        tuple(map(int, pair)) if isinstance(pair, list) else (int(pair), int(pair)) for pair in _per_axis(x, widths)
    ]
    if any(len(pair) != 2 for pair in pads) or len(pads) != len(x.shape) + x.batched:
        raise layer.error(f"pads {str(widths)[:100]} of a value with {len(x.shape) + 1} axes; save the model again")
    if x.batched and any(pads.pop(0)):
        raise layer.error("pads the batch axis; an image must not depend on the images beside it")
    value = argument(layer, "constant_values", default=None)
    padding = 0.0 if value is None else number(layer, value)
    return layer.put(Pad("", tuple((before, after) for before, after in pads), padding), x)


def _per_axis(x: Value, widths: Any) -> list[Any]:
    """List the padding of each axis; one number or one pair may stand for all."""
    rank = len(x.shape) + x.batched
    if not isinstance(widths, list):
        return [widths] * rank
    if widths and (len(widths) == 1 or not isinstance(widths[0], list)):
        return [widths[0] if isinstance(widths[0], list) else widths] * rank
    return widths


def tile(layer: Layer) -> Value:
    """The value repeated as a whole along some axes."""
    x = _moved(layer)
    counts = wholes(layer, argument(layer, "repeats", "multiples"))
    rank = len(x.shape) + x.batched
    counts = [*[1] * (rank - len(counts)), *counts]
    if len(counts) > rank or (x.batched and counts[0] != 1):
        raise layer.error(f"copies {counts} of a value with {rank} axes; supported: one of each image")
    return copied(layer, x, counts[1:] if x.batched else counts)


def repeat(layer: Layer) -> Value:
    """The value with every element of an axis repeated several times in a row."""
    x = _moved(layer)
    axis = axis_of(layer, argument(layer, "axis"), x)
    count = whole(layer, argument(layer, "repeats"))
    raised = layer.reshape("raised", x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    many = copied(layer, raised, [count if other == axis + 1 else 1 for other in range(len(raised.shape))], "copies")
    return layer.reshape("", many, (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :]))


def broadcast(layer: Layer) -> Value:
    """The value broadcast to a shape along axes of length 1."""
    x = _moved(layer)
    target = wholes(layer, argument(layer, "shape", place=1))
    if x.batched:
        if len(target) != len(x.shape) + 1 or target[0] not in (None, -1):
            raise layer.error(f"shape {target}, expected the number of images first, and as many axes as the value has")
        target = target[1:]
    shape = (1,) * (len(target) - len(x.shape)) + x.shape
    pairs = zip(target, shape, strict=False)
    if any(length is None or mine not in (1, length) for length, mine in pairs) or len(target) < len(x.shape):
        raise layer.error(f"shape {target} for a value of {x.shape}; save the model again")
    counts = [length if mine == 1 else 1 for length, mine in zip(target, shape, strict=True)]
    return copied(layer, layer.reshape("raised", x, shape), counts)


def copied(layer: Layer, x: Value, counts: Sequence[int | None], part: str = "") -> Value:
    """Repeat `x` along its axes; return `x` itself if there is one copy along each."""
    many = [(axis, count) for axis, count in enumerate(counts) if count != 1]
    for index, (axis, count) in enumerate(many, 1):
        if count is None or not 1 <= count <= _MAX_COPIES:
            raise layer.error(f"{count} copies; supported: 1 to {_MAX_COPIES:,}")
        name = part if index == len(many) else piece(part, f"copies {index}")
        x = layer.put(Concat(name, axis), *[x] * count)
    return x


# --- constants -------------------------------------------------------------------------------------------------------


def shape_of(layer: Layer) -> Value:
    """Return the lengths of all axes; the number of images is unknown, so NaN stands for it."""
    x = _moved(layer)
    return layer.put(Constant("", np.array([*([np.nan] if x.batched else []), *x.shape], np.float32)))


def arange(layer: Layer) -> Value:
    """Numbers at equal distances."""
    start, stop = argument(layer, "start", place=0), argument(layer, "stop", "limit", place=1, default=None)
    step = argument(layer, "step", "delta", place=2, default=None)
    begin, end = (0, whole(layer, start)) if stop is None else (whole(layer, start), whole(layer, stop))
    numbers = range(begin, end, 1 if step is None else whole(layer, step) or 1)
    if not 0 < len(numbers) <= _MAX_FILLED:
        raise layer.error(f"{len(numbers):,} numbers; supported: 1 to {_MAX_FILLED:,}")
    return layer.put(Constant("", np.array(numbers, np.float32)))


def ones(layer: Layer) -> Value:
    """Ones in the shape of a value."""
    return _filled(layer, 1.0)


def zeros(layer: Layer) -> Value:
    """Zeros in the shape of a value."""
    return _filled(layer, 0.0)


def _filled(layer: Layer, number: float) -> Value:
    x = _moved(layer)
    if math.prod(x.shape) > _MAX_FILLED:
        raise layer.error(f"a constant of shape {x.shape}; at most {_MAX_FILLED:,} values are made")
    return replace(layer.constant("", np.full(x.shape, number, np.float32)), batched=x.batched)
