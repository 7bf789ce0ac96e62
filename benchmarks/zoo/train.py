"""Train five small networks of other kinds than the project's own on rendered digit lines, in an hour on one core.

- `residual`: convolutions with batch norm and shortcuts (He et al. 2016), bidirectional LSTM; height first;
- `mobile`: inverted residuals, depthwise, with ReLU6 (Sandler et al. 2018), bidirectional GRU; width first;
- `dense`: pre-activated convolutions, each joined to all before it (Huang et al. 2017); height first;
- `gated`: convolutions with PReLU and gates, after arthurflor23's "Flor", bidirectional GRU; width first;
- `transformer`: convolutions and two layers of a transformer's encoder, norms first, nothing recurrent; height first.

All of them take a grey image of 100×32 pixels and give 25 steps of 11 probabilities, the blank last. `gated` and
`transformer` have layers of their own, `GatedConv2D` and `Positions`: import this module before Keras loads them.

    python -m benchmarks.zoo.train FOLDER                     # renders lines unless they are there; trains all five
    python -m benchmarks.zoo.train FOLDER --networks dense    # one of them
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.training.batches import Batch
from edge_crnn.training.fit import evaluate
from edge_crnn.training.folder import Drawing
from edge_crnn.training.fonts import pick_fonts
from edge_crnn.training.loss import ctc_loss, pack
from edge_crnn.training.optimisers import make_optimiser

SYMBOLS = "0123456789"
CLASSES, STEPS = len(SYMBOLS) + 1, 25
WIDTH, HEIGHT = 100, 32
SCALE, OFFSET = 1 / 127.5, -1.0
LENGTH = (3, 8)
"""The fewest and the most digits of a line."""
SEED, VALIDATION_SEED = 7000, 7003
"""The seeds of the lines to train with and to judge each epoch by; verify and calibrate with other seeds."""
VALIDATION_LINES = 500
LINES = "lines.npz"

Axes = Literal["HWC", "WHC"]


@keras.saving.register_keras_serializable(package="zoo")
class GatedConv2D(layers.Layer):  # type: ignore[misc]
    """A convolution of twice as many channels, the first half times the sigmoid of the second half."""

    def __init__(self, filters: int, kernel_size: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.filters, self.kernel_size = filters, kernel_size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights of one Conv2D: kernel and bias."""
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], 2 * self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="he_uniform", name="kernel")
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return (N, A, B, filters) for (N, A, B, C)."""
        both = ops.conv(inputs, self.kernel, padding="same") + self.bias
        linear, gate = ops.split(both, 2, axis=-1)
        return linear * ops.sigmoid(gate)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input, with `filters` channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable(package="zoo")
class Positions(layers.Layer):  # type: ignore[misc]
    """A layer that adds a learned vector to each step."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the one weight, (steps, channels)."""
        self.positions = self.add_weight(
            shape=input_shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02), name="positions"
        )

    def call(self, inputs: Any) -> Any:
        """Return (N, steps, channels) for the same shape."""
        return inputs + self.positions

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape


def residual() -> Any:
    """Build four blocks with shortcuts and a bidirectional LSTM."""
    image = layers.Input((HEIGHT, WIDTH, 1), name="image")

    def norm_conv(x: Any, filters: int, kernel: int, strides: tuple[int, int] = (1, 1)) -> Any:
        x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
        return layers.BatchNormalization()(x)

    def block(x: Any, filters: int, strides: tuple[int, int] = (1, 1)) -> Any:
        inner = layers.ReLU()(norm_conv(x, filters, 3, strides))
        inner = norm_conv(inner, filters, 3)
        short = x if x.shape[-1] == filters and strides == (1, 1) else norm_conv(x, filters, 1, strides)
        return layers.ReLU()(layers.Add()([inner, short]))

    x = layers.MaxPooling2D(2)(layers.ReLU()(norm_conv(image, 16, 3)))
    x = block(x, 24)
    x = block(x, 48, (2, 2))
    x = block(x, 64, (2, 1))
    x = block(x, 64)
    x = layers.Bidirectional(layers.LSTM(64, return_sequences=True))(_columns(x))
    return _model(image, x, "residual")


def mobile() -> Any:
    """Build seven inverted residuals and a bidirectional GRU."""
    image = layers.Input((WIDTH, HEIGHT, 1), name="image")

    def pointwise(x: Any, filters: int) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(x))

    def block(x: Any, filters: int, strides: int = 1, expand: int = 3) -> Any:
        inner = layers.ReLU(max_value=6)(pointwise(x, expand * x.shape[-1]))
        inner = layers.DepthwiseConv2D(3, strides, "same", use_bias=False)(inner)
        inner = layers.ReLU(max_value=6)(layers.BatchNormalization()(inner))
        inner = pointwise(inner, filters)
        return layers.Add()([x, inner]) if strides == 1 and x.shape[-1] == filters else inner

    x = layers.Conv2D(16, 3, 2, "same", use_bias=False)(image)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    x = block(x, 16, expand=1)
    x = block(block(x, 24, strides=2), 24)
    x = layers.AveragePooling2D((1, 2))(x)  # strides of a depthwise convolution are the same both ways
    x = block(block(x, 40), 40)
    x = layers.AveragePooling2D((1, 2))(x)
    x = block(block(x, 64), 64)
    x = layers.ReLU(max_value=6)(pointwise(x, 96))
    x = layers.Reshape((STEPS, x.shape[2] * x.shape[3]))(x)
    x = layers.Bidirectional(layers.GRU(64, return_sequences=True))(x)
    return _model(image, x, "mobile")


def dense() -> Any:
    """Build three blocks of concatenated convolutions, and the steps' classes from the columns."""
    image = layers.Input((HEIGHT, WIDTH, 1), name="image")

    def norm_conv(x: Any, filters: int, kernel: int) -> Any:
        x = layers.ReLU()(layers.BatchNormalization()(x))
        return layers.Conv2D(filters, kernel, padding="same", use_bias=False, kernel_initializer="he_normal")(x)

    def block(x: Any, count: int, growth: int) -> Any:
        for _ in range(count):
            x = layers.Concatenate()([x, norm_conv(x, growth, 3)])
        return x

    def transition(x: Any, pool: tuple[int, int]) -> Any:
        return layers.AveragePooling2D(pool)(norm_conv(x, x.shape[-1] // 2, 1))

    x = layers.Conv2D(24, 5, 2, padding="same", use_bias=False, kernel_initializer="he_normal")(image)
    x = transition(block(x, 2, 12), (2, 2))
    x = transition(block(x, 4, 20), (2, 1))
    x = transition(block(x, 5, 24), (2, 1))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return _model(image, _columns(x), "dense")


def gated() -> Any:
    """Build five gated convolutions and a bidirectional GRU."""
    image = layers.Input((WIDTH, HEIGHT, 1), name="image")

    def block(x: Any, filters: int, strides: tuple[int, int], gate: bool = True) -> Any:
        x = layers.Conv2D(filters, 3, strides, "same", kernel_initializer="he_uniform")(x)
        x = layers.BatchNormalization()(layers.PReLU(shared_axes=[1, 2])(x))
        return GatedConv2D(filters)(x) if gate else x

    x = block(image, 16, (2, 2))
    x = block(x, 24, (1, 1))
    x = block(x, 40, (2, 2))
    x = layers.Dropout(0.1)(block(x, 48, (1, 1)))
    x = layers.Dropout(0.1)(block(x, 56, (1, 2)))
    x = block(x, 64, (1, 1), gate=False)
    x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Reshape((STEPS, x.shape[2] * x.shape[3]))(x)
    x = layers.Bidirectional(layers.GRU(64, return_sequences=True))(x)
    return _model(image, x, "gated")


def transformer() -> Any:
    """Build four convolutions and two layers of attention over the columns."""
    image = layers.Input((HEIGHT, WIDTH, 1), name="image")

    def conv(x: Any, filters: int, pool: tuple[int, int] | None) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        return x if pool is None else layers.MaxPooling2D(pool)(x)

    def norm(x: Any) -> Any:
        return layers.LayerNormalization(epsilon=1e-6)(x)

    def encoder(x: Any, heads: int, rate: float = 0.1) -> Any:
        width, y = x.shape[-1], norm(x)
        attention = layers.MultiHeadAttention(heads, width // heads, dropout=rate)
        x = layers.Add()([x, layers.Dropout(rate)(attention(y, y))])
        y = layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(norm(x)))
        return layers.Add()([x, layers.Dropout(rate)(y)])

    x = conv(image, 16, (2, 2))
    x = conv(x, 32, (2, 2))
    x = conv(x, 64, None)
    x = conv(x, 64, (2, 1))
    x = Positions()(layers.Dense(96)(_columns(x)))
    x = norm(encoder(encoder(x, 4), 4))
    return _model(image, x, "transformer")


def _columns(x: Any) -> Any:
    """Turn (N, rows, columns, channels) into (N, columns, rows × channels)."""
    x = layers.Permute((2, 1, 3))(x)
    return layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)


def _model(image: Any, x: Any, name: str) -> Any:
    logits = layers.Dense(CLASSES, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="softmax")(logits), name=name)


@dataclass(frozen=True)
class Network:
    """A network and its training."""

    build: Callable[[], Any]
    axes: Axes
    epochs: int
    """The number of epochs."""
    rate: float = 2e-3
    """The highest learning rate of AdamW."""

    def spec(self, name: str) -> ModelSpec:
        """Return the spec of the trained model."""
        return ModelSpec(
            name=name,
            symbols=tuple(SYMBOLS),
            blank=len(SYMBOLS),
            input=InputSpec(width=WIDTH, height=HEIGHT, axes=self.axes, scale=SCALE, offset=OFFSET),
            output=OutputSpec(steps=STEPS, classes=CLASSES),
        )


NETWORKS = {
    "residual": Network(residual, "HWC", 4),
    "mobile": Network(mobile, "WHC", 3),
    "dense": Network(dense, "HWC", 3),
    "gated": Network(gated, "WHC", 3),
    "transformer": Network(transformer, "HWC", 4, 1e-3),
}


@dataclass(frozen=True)
class Lines:
    """Rendered lines in memory."""

    images: npt.NDArray[np.uint8]
    """The images, (N, HEIGHT, WIDTH)."""
    labels: tuple[str, ...]

    def batch(self, indices: npt.NDArray[np.intp], axes: Axes) -> Batch:
        """Return some of the lines as a network takes them."""
        images = self.images[indices] if axes == "HWC" else self.images[indices].swapaxes(1, 2)
        scaled = images[..., None] * np.float32(SCALE) + np.float32(OFFSET)
        return Batch(np.ascontiguousarray(scaled), tuple(self.labels[index] for index in indices))


def draw(count: int, seed: int) -> Lines:
    """Render `count` lines of a run, in the default fonts, preset `mild`."""
    drawing = Drawing("lines", seed, "mild", pick_fonts(None, lines=True), alphabet=SYMBOLS, length=LENGTH)
    pixels = InputSpec(width=WIDTH, height=HEIGHT, axes="HWC", scale=SCALE, offset=OFFSET, dtype="uint8")
    images, labels = np.empty((count, HEIGHT, WIDTH, 1), np.uint8), []
    for index, rendered in enumerate(drawing.render(count)):
        images[index] = preprocess([rendered.image], pixels)[0]
        labels.append(rendered.label)
    return Lines(images[..., 0], tuple(labels))


def lines_of(file: Path, count: int) -> Lines:
    """Load the lines of a file, which is rendered first if it is missing."""
    if not file.exists():
        drawn = draw(count, SEED)
        np.savez(file, images=drawn.images, labels=np.array(drawn.labels))
    with np.load(file) as stored:
        return Lines(stored["images"], tuple(map(str, stored["labels"])))


def train(name: str, lines: Lines, validation: Lines, folder: Path, *, batch: int, epochs: int | None = None) -> float:
    """Train a network, save its best epoch as NAME.keras with its spec, and return the accuracy of that epoch."""
    keras.utils.set_random_seed(1)
    network = NETWORKS[name]
    spec, model = network.spec(name), network.build()
    epochs, steps = epochs or network.epochs, len(lines.labels) // batch
    print(f"{name}: {model.count_params():,} parameters, {epochs} epochs of {steps} steps", flush=True)
    logits = keras.Model(model.inputs, model.get_layer("logits").output)
    optimiser = make_optimiser("adamw", network.rate, epochs * steps)
    logits.compile(optimizer=optimiser, loss=ctc_loss(spec.blank, 0), jit_compile=False)
    judged = validation.batch(np.arange(len(validation.labels)), network.axes)
    folder.mkdir(parents=True, exist_ok=True)
    best, begun = -1.0, time.monotonic()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for shuffled in _shuffled(lines, network.axes, batch, epoch):
            labels = pack([spec.alphabet.encode(label) for label in shuffled.labels], STEPS, LENGTH[1])
            total += float(logits.train_on_batch(shuffled.images, labels))
        right = evaluate(model, spec, judged).exact
        minutes = (time.monotonic() - begun) / 60
        print(
            f"{name}: epoch {epoch}, loss {total / steps:.4f}, correct {right:.2%}, {minutes:.1f} minutes", flush=True
        )
        if right >= best:
            best = right
            model.save(folder / f"{name}.keras")
            (folder / f"{name}.keras.json").write_text(spec.to_json() + "\n", encoding="utf-8")
    return best


def _shuffled(lines: Lines, axes: Axes, batch: int, epoch: int) -> Iterator[Batch]:
    order = np.random.default_rng((SEED, epoch)).permutation(len(lines.labels))
    for start in range(0, len(order) - batch + 1, batch):
        yield lines.batch(order[start : start + batch], axes)


def main() -> None:
    """Render the missing lines, and train the networks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help=f"folder for {LINES} and models/")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument(
        "--lines", type=int, default=40_000, help="lines to render and train with (default: %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=64, help="lines per step (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="number of epochs (default: that of the network)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    lines = lines_of(args.folder / LINES, args.lines)
    validation = draw(VALIDATION_LINES, VALIDATION_SEED)
    for name in args.networks:
        train(name, lines, validation, args.folder / "models", batch=args.batch, epochs=args.epochs)


if __name__ == "__main__":
    main()
