"""Takes over the weights of a trained model into a network that may read another alphabet."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..alphabet import Alphabet
from ..errors import ModelFileError, ModelSpecError
from ..model.artifact import load_sidecar, sidecar


class Initial(NamedTuple):
    """A trained model to start from."""

    path: Path
    model: Any
    """The Keras model."""
    alphabet: Alphabet | None
    """Alphabet in the spec beside the model; None: it has no spec."""


def load_initial(path: Path) -> Initial:
    """Load a trained model, and the alphabet in the spec beside it.

    Raises:
        ModelFileError: Keras cannot load the model.
        ModelSpecError: the spec cannot be read.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ModelFileError(f"{path}: Keras cannot load it ({str(error).partition(chr(10))[0]})") from error
    return Initial(path, model, load_sidecar(path).alphabet if sidecar(path).exists() else None)


def take_over(initial: Initial, model: Any, alphabet: Alphabet) -> str:
    """Set the weights of a network to those of a trained model, and return what was taken over and what is new.

    All layers before the last layer with weights, which gives the classes, are copied. In that layer, the classes of
    the blank and of symbols in both alphabets are copied; the classes of new symbols keep their fresh weights.

    Args:
        initial: the trained model.
        model: the network to train, with fresh weights.
        alphabet: the alphabet of `model`.

    Raises:
        ModelFileError: a weight before the last layer has another shape, or there are more or fewer of them.
        ModelSpecError: the numbers of classes differ, and no spec names the classes of the trained model.
    """
    source = _last_weighted(initial.model)
    target = _last_weighted(model)
    same_shapes = [weight.shape for weight in source.weights] == [weight.shape for weight in target.weights]
    if initial.alphabet is None or _classes(initial.alphabet) == _classes(alphabet):
        if initial.alphabet is None and not same_shapes:
            raise ModelSpecError(
                f"{initial.path}: no spec beside it names its {source.weights[-1].shape[-1]} classes, and this network"
                f" has {alphabet.classes}; write a spec with `edge-crnn spec`"
            )
        copy_weights(initial.model, model)
        assumed = "" if initial.alphabet else "; it has no spec, so its alphabet is assumed to be that of this run"
        return f"took over all weights of {initial.path}{assumed}"
    _copy(
        [weight for layer in initial.model.layers if layer is not source for weight in layer.weights],
        [weight for layer in model.layers if layer is not target for weight in layer.weights],
    )
    pairs = _shared_classes(initial.alphabet, alphabet)
    olds = [old for old, _ in pairs]
    news = [new for _, new in pairs]
    for theirs, ours in zip(source.weights, target.weights, strict=True):
        values = np.array(ours)
        values[..., news] = np.asarray(theirs)[..., olds]
        ours.assign(values)
    shared = [symbol for symbol in alphabet.symbols if symbol in initial.alphabet.symbols]
    new = [symbol for symbol in alphabet.symbols if symbol not in initial.alphabet.symbols]
    return (
        f"took over all layers of {initial.path} but {target.name}, and there the classes of the blank and of"
        f" {len(shared)} symbols in both alphabets ({_joined(shared)}); new are {len(new)} symbols ({_joined(new)})"
    )


def copy_weights(source: Any, target: Any) -> None:
    """Set a model's weights to those of another one of the same shape.

    Raises:
        ModelFileError: an array has another shape, or there are more or fewer.
    """
    _copy(source.weights, target.weights)


def _copy(theirs: list[Any], ours: list[Any]) -> None:
    for own, other in zip_longest(ours, theirs):
        if own is None or other is None or own.shape != other.shape:
            actual, expected = (
                "nothing" if weight is None else f"{weight.path} {tuple(weight.shape)}" for weight in (other, own)
            )
            raise ModelFileError(
                f"the initial model has {actual}, expected {expected}; name a model of the same network"
            )
    for own, other in zip(ours, theirs, strict=True):
        own.assign(other)


def _last_weighted(model: Any) -> Any:
    """Return the last layer that has weights: its last axis is the classes, in the kernel and in the bias."""
    weighted = [layer for layer in model.layers if layer.weights]
    if not weighted:
        raise ModelFileError("the initial model has no weights; name a trained model of the same network")
    return weighted[-1]


def _classes(alphabet: Alphabet) -> tuple[tuple[str, ...], int, tuple[int, ...]]:
    return alphabet.symbols, alphabet.blank, alphabet.unused


def _shared_classes(old: Alphabet, new: Alphabet) -> list[tuple[int, int]]:
    """Return the class indices, old and new, of the blank and of every symbol in both alphabets."""
    indices = dict(zip(old.symbols, old.indices, strict=True))
    symbols = zip(new.symbols, new.indices, strict=True)
    return [(old.blank, new.blank), *((indices[symbol], index) for symbol, index in symbols if symbol in indices)]


def _joined(symbols: list[str]) -> str:
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    return separator.join(symbols) or "none"
