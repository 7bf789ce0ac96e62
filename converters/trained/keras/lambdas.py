"""Converts Lambdas as the user describes them: code in a model file is never run or inspected.

The spec says it by the layer's name, such as `"lambdas": {"lambda_1": "squeeze 1"}`. Axes count as in Keras: the batch
is axis 0, and negative ones count from the end. Several steps are separated by commas: "squeeze 1, scale 1/255".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from edge_crnn.errors import InputError

from ...graph.nodes import Affine, Recurrent, Reduce, Reverse, SpatialTransform
from .builder import Layer, Value, converts
from .config import MAX_SIZE
from .guesses import may_go_backwards
from .layers import moving

LOSS = "loss"
"""Declares the loss that a model was saved with, which is not converted, nor is anything that only it needs."""

VOCABULARY: Mapping[str, str] = {
    "identity": "nothing",
    "squeeze AXIS": "drop an axis of length 1",
    "expand AXIS": "add an axis of length 1",
    "slice AXIS START:STOP:STEP": "take a part of an axis, as in Python; each number may be left out: slice 1 2:",
    "reverse AXIS": "turn an axis round",
    "scale FACTOR [OFFSET]": "multiply, and add: scale 1/255, or scale 2 -1",
    "mean AXIS": "average over an axis, and drop it",
    "transpose AXIS AXIS ...": "put the axes in this order, the batch axis included: transpose 0 2 1 3",
    "spatial_transformer": "sample the first value, a map, bilinearly by the second, six numbers",
    LOSS: "the model's loss, which is left out",
}
"""Phrase → its meaning."""

_Step: TypeAlias = Callable[[Layer, str, Value], Value]
"""A step: takes the layer, the name of the part, and the value to change."""


def declared(words: str) -> Callable[[Layer], Value]:
    """Return the function that converts a Lambda as the user describes it.

    Raises:
        InputError: words that are not in the vocabulary.
    """
    phrases = [phrase.split() for phrase in words.split(",")] if isinstance(words, str) else [[]]
    if phrases == [[LOSS]]:
        return _loss
    if phrases == [["spatial_transformer"]]:
        return _spatial_transformer
    try:
        steps = [(phrase[0], _STEPS[phrase[0]](phrase[1:])) for phrase in phrases]
    except (IndexError, KeyError, ValueError, ZeroDivisionError) as error:
        choices = "; ".join(f"{usage!r}: {meaning}" for usage, meaning in VOCABULARY.items())
        raise InputError(
            f"lambdas: {words!r}, expected one of these, or several with commas between: {choices}"
        ) from error

    def convert(layer: Layer) -> Value:
        value = layer.x
        for index, (name, step) in enumerate(steps, 1):
            value = step(layer, "" if index == len(steps) else name, value)
        return value

    return convert


@converts("Lambda")
def turn(layer: Layer) -> Value:
    """Reverse the steps right after a backward LSTM or GRU; reject any other Lambda that the user has not declared.

    This is an assumption. The reference of verification gets the same reversal, so if the code does something else,
    both misread labelled images in the same way.
    """
    if not is_turn(layer):
        may_turn = any(may_go_backwards(layer.builder.node(value)) for value in layer.inputs)
        refuse = layer.error if may_turn else layer.unsupported
        raise refuse(
            "code in a model file is never run. Say what it does, such as"
            f' --lambda \'{layer.name}=squeeze 1\' (in the spec "lambdas": {{"{layer.name}": "squeeze 1"}}), or'
            " convert it by a function of your own with --layers FILE"
        )
    layer.builder.note(
        f"layer {layer.name!r} (Lambda) is taken to turn round the steps of the backward layer before it; if it does"
        ' not, say what it does in the spec\'s "lambdas"'
    )
    return layer.put(Reverse("", 0), layer.x)


def is_turn(layer: Layer) -> bool:
    """Return whether a Lambda's only input is the output of a backward recurrent layer."""
    if len(layer.inputs) != 1:
        return False
    last = layer.builder.node(layer.inputs[0])
    if not isinstance(last, Reverse) or not last.name.rpartition("/")[2].startswith("reversed"):
        return False
    before = layer.builder.node(Value(last.inputs[0], ()))
    return isinstance(before, Recurrent) and before.forward is None


# --- steps -----------------------------------------------------------------------------------------------------------


def _identity(words: Sequence[str]) -> _Step:
    () = words
    return lambda _layer, _part, x: x


def _squeeze(words: Sequence[str]) -> _Step:
    axis = _only_axis(words)

    def step(layer: Layer, part: str, x: Value) -> Value:
        dropped = layer.sample_axis(axis, len(x.shape))
        if x.shape[dropped] != 1:
            raise layer.error(f"is declared to squeeze axis {axis}, whose length is {x.shape[dropped]}, expected 1")
        return layer.reshape(part, x, (*x.shape[:dropped], *x.shape[dropped + 1 :]))

    return step


def _expand(words: Sequence[str]) -> _Step:
    axis = _only_axis(words)

    def step(layer: Layer, part: str, x: Value) -> Value:
        added = layer.sample_axis(axis, len(x.shape) + 1)
        return layer.reshape(part, x, (*x.shape[:added], 1, *x.shape[added:]))

    return step


def _slice(words: Sequence[str]) -> _Step:
    axis, text = words
    number = _whole(axis)
    bounds = [_whole(bound) if bound else None for bound in text.split(":")]
    if not 2 <= len(bounds) <= 3 or bounds[2:] == [0]:
        raise ValueError(text)
    taken = slice(*bounds)

    def step(layer: Layer, part: str, x: Value) -> Value:
        along = layer.sample_axis(number, len(x.shape))
        numbers = range(*taken.indices(x.shape[along]))
        if not numbers:
            raise layer.error(f"is declared to take {text} of {x.shape[along]} elements, which leaves none")
        return moving.along(layer, x, along, slice(numbers.start, numbers.stop, numbers.step), part)

    return step


def _reverse(words: Sequence[str]) -> _Step:
    axis = _only_axis(words)
    return lambda layer, part, x: layer.put(Reverse(part, layer.sample_axis(axis, len(x.shape))), x)


def _scale(words: Sequence[str]) -> _Step:
    factor, offset = (_number(word) for word in (words if len(words) == 2 else [*words, "0"]))

    def step(layer: Layer, part: str, x: Value) -> Value:
        scale, shift = (np.full(x.shape[-1:], number, np.float32) for number in (factor, offset))
        return layer.put(Affine(part, scale, shift), x)

    return step


def _mean(words: Sequence[str]) -> _Step:
    axis = _only_axis(words)
    return lambda layer, part, x: layer.put(Reduce(part, "mean", (layer.sample_axis(axis, len(x.shape)),)), x)


def _transpose(words: Sequence[str]) -> _Step:
    order = [_whole(word) for word in words]
    if not order:
        raise ValueError(words)

    def step(layer: Layer, part: str, x: Value) -> Value:
        rank = len(x.shape) + 1
        return moving.ordered(layer, x, [axis % rank if -rank <= axis < rank else axis for axis in order], part)

    return step


_STEPS: Mapping[str, Callable[[Sequence[str]], _Step]] = {
    "expand": _expand,
    "identity": _identity,
    "mean": _mean,
    "reverse": _reverse,
    "scale": _scale,
    "slice": _slice,
    "squeeze": _squeeze,
    "transpose": _transpose,
}


def _loss(layer: Layer) -> Value:
    raise layer.error('is declared the "loss", but the prediction comes after it; expected the last layer')


def _spatial_transformer(layer: Layer) -> Value:
    """Find the map and the six numbers, which come in either order."""
    values = sorted(layer.inputs, key=lambda value: len(value.shape), reverse=True)
    if [len(value.shape) for value in values] != [3, 1] or values[1].shape != (6,):
        shapes = ", ".join(str(value.shape) for value in layer.inputs)
        raise layer.error(f"is declared a spatial_transformer and takes {shapes}, expected a map and six numbers")
    return layer.put(SpatialTransform(""), *values)


# --- words -----------------------------------------------------------------------------------------------------------


def _only_axis(words: Sequence[str]) -> int:
    (axis,) = words
    return _whole(axis)


def _whole(word: str) -> int:
    number = int(word)
    if abs(number) > MAX_SIZE:
        raise ValueError(word)
    return number


def _number(word: str) -> float:
    """Parse a number, or a fraction such as 1/255."""
    over, _, under = word.partition("/")
    number = float(over) / (float(under) if under else 1.0)
    if not abs(number) < 1e30:
        raise ValueError(word)
    return number
