"""The two networks of edge-crnn, in Keras 3, on any of its backends.

`plates` reads a number plate: seven convolutions with batch norm, two bidirectional LSTM layers wired by hand, the
first added up and the second concatenated. `digits` reads a text line: seven convolutions, two bidirectional LSTM
layers. Both take a grey image with the width first and return class probabilities with the blank last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import InputError

Rnn = Literal["lstm", "gru"]
SOFTMAX = "softmax"
"""Name of the last layer of both networks; its input is the logits."""


@dataclass(frozen=True)
class Architecture:
    """A network to build, and the meaning of its images and output."""

    build: Callable[..., Any]
    """(classes, *, width_px, height_px, width, rnn, recurrent_activation) → keras.Model."""
    width_px: int
    height_px: int
    steps: Callable[[int], int]
    """Width of the image in pixels → time steps."""
    skip_steps: int
    """Leading time steps that loss and decoder skip, because the forward LSTM has seen almost nothing there."""


def plates(
    classes: int = 42,
    *,
    width_px: int = 128,
    height_px: int = 64,
    width: float = 1.0,
    rnn: Rnn = "lstm",
    recurrent_activation: str = "sigmoid",
) -> Any:
    """Build the plate network: (N, 128, 64, 1) float32 → probabilities (N, 32, 42).

    Args:
        classes: symbols and the blank.
        width_px: width of the image; a time step is 4 pixels.
        height_px: height of the image.
        width: factor on every number of filters and units.
        rnn: kind of recurrent layer.
        recurrent_activation: function of its gates.

    Raises:
        InputError: an option is out of range, or the image too small for the pools.
    """
    layers, ops, recurrent, units = _keras(width, rnn)
    image = _image(layers, "the_input", width_px, height_px, least=(4, 16))
    x = image
    norms = iter(range(1, 10))

    def norm(x: Any) -> Any:
        return layers.BatchNormalization(name=f"batch_normalization_{next(norms)}")(x)

    def conv(x: Any, name: str, filters: int, kernel: int = 3) -> Any:
        x = layers.Conv2D(units(filters), kernel, padding="same", kernel_initializer="he_normal", name=name)(x)
        return layers.Activation("relu", name=f"{name}_relu")(norm(x))

    def pool(x: Any, name: str, size: tuple[int, int]) -> Any:
        return layers.MaxPooling2D(size, name=name)(x)

    x = pool(conv(x, "conv1", 64), "max1", (2, 2))
    x = pool(conv(x, "conv2", 128), "max2", (2, 2))
    x = pool(conv(conv(x, "conv3", 256), "conv4", 256), "max3", (1, 2))
    x = pool(conv(conv(x, "conv5", 512), "conv6", 512), "max4", (1, 2))
    x = conv(x, "con7", 512, kernel=2)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]), name="reshape")(x)
    x = layers.Dense(units(64), activation="relu", kernel_initializer="he_normal", name="dense1")(x)

    def pair(x: Any, name: str) -> list[Any]:
        """Make a forward layer, and a backward layer whose steps are reversed."""
        options = {
            "return_sequences": True,
            "kernel_initializer": "he_normal",
            "recurrent_activation": recurrent_activation,
        }
        forward = recurrent(units(256), name=name, **options)(x)
        backward = recurrent(units(256), name=f"{name}_b", go_backwards=True, **options)(x)
        return [forward, ops.flip(backward, axis=1)]

    x = norm(layers.Add(name="add_1")(pair(x, "lstm1")))
    x = norm(layers.Concatenate(name="concatenate_1")(pair(x, "lstm2")))
    x = layers.Dense(classes, kernel_initializer="he_normal", name="dense2")(x)
    return _model(image, _softmax(layers, x), "plates")


def digits(
    classes: int = 11,
    *,
    width_px: int = 100,
    height_px: int = 32,
    width: float = 1.0,
    rnn: Rnn = "lstm",
    recurrent_activation: str = "sigmoid",
) -> Any:
    """Build the text line network: (N, 100, 32, 1) float32 → probabilities (N, 24, 11).

    For arguments and errors, see `plates`. The two batch norms stand between a ReLU and a padded convolution. LSTMs
    start with a forget bias of 1 (Jozefowicz et al. 2015).
    """
    layers, _, recurrent, units = _keras(width, rnn)
    image = _image(layers, "input", width_px, height_px, least=(8, 32))

    def conv(x: Any, name: str, filters: int, kernel: int = 3, padding: str = "same") -> Any:
        return layers.Conv2D(units(filters), kernel, padding=padding, activation="relu", name=name)(x)

    def pool(x: Any, name: str, strides: tuple[int, int], padding: str = "same") -> Any:
        return layers.MaxPooling2D(2, strides=strides, padding=padding, name=name)(x)

    x = pool(conv(image, "conv1", 64), "pool1", (2, 2), "valid")
    x = pool(conv(x, "conv2", 128), "pool2", (2, 2), "valid")
    x = layers.BatchNormalization(name="bnorm1")(conv(x, "conv3", 256))
    x = pool(conv(x, "conv4", 256), "pool3", (1, 2))
    x = layers.BatchNormalization(name="bnorm2")(conv(x, "conv5", 512))
    x = pool(conv(x, "conv6", 512), "pool4", (1, 2))
    x = conv(x, "conv7", 512, kernel=2, padding="valid")
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]), name="squeeze")(x)
    for name in ("bidirectional-rnn-1", "bidirectional-rnn-2"):
        cell = recurrent(units(256), return_sequences=True, recurrent_activation=recurrent_activation)
        x = layers.Bidirectional(cell, name=name)(x)
    x = layers.Dense(classes, name="logits")(x)
    return _model(image, _softmax(layers, x), "digits")


ARCHITECTURES: Mapping[str, Architecture] = {
    "plates": Architecture(plates, 128, 64, lambda width: width // 4, 2),
    "digits": Architecture(digits, 100, 32, lambda width: width // 4 - 1, 0),
}


def _keras(width: float, rnn: str) -> tuple[Any, Any, Any, Callable[[int], int]]:
    """Return Keras' layers, its operations, the class of recurrent layers, and a function that scales widths."""
    import keras

    if not 0 < width <= 4:
        raise InputError(f"width {width}: expected a factor above 0 and at most 4")
    if rnn not in get_args(Rnn):
        raise InputError(f"recurrent layer {rnn!r}: expected one of {', '.join(get_args(Rnn))}")
    layer = keras.layers.LSTM if rnn == "lstm" else keras.layers.GRU
    return keras.layers, keras.ops, layer, lambda count: max(1, round(count * width))


def _image(layers: Any, name: str, width_px: int, height_px: int, least: tuple[int, int]) -> Any:
    if width_px < least[0] or height_px < least[1]:
        raise InputError(f"image of {width_px}×{height_px}: the pools need at least {least[0]}×{least[1]}")
    return layers.Input((width_px, height_px, 1), name=name, dtype="float32")


def _softmax(layers: Any, logits: Any) -> Any:
    return layers.Activation("softmax", name=SOFTMAX, dtype="float32")(logits)


def _model(image: Any, probabilities: Any, name: str) -> Any:
    import keras

    return keras.Model(image, probabilities, name=name)
