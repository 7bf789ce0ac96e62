"""Turns a trained Keras CRNN, `.keras` or `.h5`, into a graph, without Keras and without running code from the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from edge_crnn.errors import ModelFileError

from ...graph.graph import Graph
from ...graph.nodes import Permute, Reshape, Shape, Softmax, Unary
from ..obstacles import Obstacle, TooManyFailuresError, grouped, message
from . import layers as layers  # fills the table of layers
from .builder import ConvertedLayer, Fragment, GraphBuilder, Layer, Value
from .calls import ModelConfig, Ref, evaluate, model_config, order
from .config import MAX_SIZE, LayerConfig
from .file import KerasFile
from .head import prediction
from .lambdas import declared
from .weights import Structure, open_model

ADDED_SOFTMAX = "softmax (added)"
"""Name of the softmax that is added to a model that ends in logits."""

_MAX_MESSAGE = 1000
_STAND_IN = 128
"""Stand-in for the length of an open axis of the image until it is declared."""
_CHANNELS = (1, 3)

_Size = TypeVar("_Size")
Axes = Literal["channels last", "channels first", "no channels"]


@dataclass(frozen=True)
class Declarations:
    """The facts that the user states about a model because its file does not."""

    image: Shape | None = None
    """(rows or columns, columns or rows, channels) of an image, as the spec has it; fixes axes of unknown size."""
    lambdas: Mapping[str, str] = field(default_factory=dict)
    """Name of a Lambda → what it does, in the phrases of `lambdas.VOCABULARY`."""
    custom: Mapping[str, Callable[[Layer], Any]] = field(default_factory=dict)
    """Name of a layer, or of its class → the function that converts it."""


@dataclass(frozen=True)
class Ends:
    """The relation of the Keras model's input and output to those of the graph."""

    image: str = ""
    """Name of the input layer that the prediction depends on."""
    axes: Axes = "channels last"
    """Order of the axes of the image."""
    time_major: bool = False
    """Whether the steps come before the batch axis in the output."""
    softmax: bool = False
    """Whether the model returns logits or log-probabilities; then the graph ends in `ADDED_SOFTMAX`."""


@dataclass(frozen=True)
class Network:
    """The network of a model file."""

    graph: Graph
    head: str | None = None
    """Name of the training head at the end of the model, which is not converted."""
    ends: Ends = Ends()
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    """Name → layer that was converted as the user has declared it."""
    notes: tuple[str, ...] = ()
    """Remarks on the conversion for the user."""


@dataclass(frozen=True)
class Reading:
    """The contents of a model file, whether or not it can be converted."""

    file: KerasFile
    """The file, whose weights can no longer be read."""
    stated: tuple[int | None, ...] = ()
    """Shape of an image as the graph takes it, channels last; None where the file leaves it open; () if not known."""
    layers: tuple[ConvertedLayer, ...] = ()
    """The layers that the prediction needs, in the order in which they are computed."""
    network: Network | None = None
    """None where there are obstacles. Where `missing` says that a size is open, its lengths are those of a stand-in."""
    obstacles: tuple[Obstacle, ...] = ()
    missing: Obstacle | None = None
    """The missing image size, which must be declared before the model can be converted."""


def load_network(path: Path, structure: Structure | None = None, declarations: Declarations | None = None) -> Network:
    """Load the CRNN in a model file as a graph from image to probabilities.

    A model that ends in logits gets a softmax, named `ADDED_SOFTMAX`.

    Args:
        path: a `.keras` or `.h5` file.
        structure: what a file of weights alone does not say.
        declarations: what the user says of the model.

    Raises:
        ModelFileError: the file cannot be read, is damaged or hostile, or is no CRNN that can be converted; then the
            message lists all obstacles.
    """
    return converted(path, read_network(path, structure, declarations))


def converted(path: Path, reading: Reading) -> Network:
    """Return the network of a model file that was read.

    Raises:
        ModelFileError: there are obstacles; the message lists all of them.
        BackendUnavailable: the weights could not be read.
    """
    if reading.file.unread is not None:
        raise reading.file.unread
    obstacles = reading.obstacles if reading.missing is None else (reading.missing, *reading.obstacles)
    if obstacles or reading.network is None:
        raise ModelFileError(message(path, obstacles))
    return reading.network


def read_network(path: Path, structure: Structure | None = None, declarations: Declarations | None = None) -> Reading:
    """Read a model file even if it cannot be converted; the arguments are those of `load_network`.

    Raises:
        ModelFileError: the file cannot be read, is damaged, or is no model.
    """
    try:
        with open_model(path, structure) as file:
            return _reading(file, declarations or Declarations())
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}"[:_MAX_MESSAGE]) from error.__cause__
    except RecursionError as error:
        raise ModelFileError(f"{path}: its configuration is nested too deeply; save the model again") from error


def load_graph(path: Path, structure: Structure | None = None, declarations: Declarations | None = None) -> Graph:
    """Load only the graph; see `load_network`."""
    return load_network(path, structure, declarations).graph


def _reading(file: KerasFile, declarations: Declarations) -> Reading:
    obstacles: list[Obstacle] = []
    reading = Reading(file)
    try:
        config, head = prediction(file.config, declarations.lambdas)
        model = model_config(config, file.keras2)
        start = _start(model)
        image = _image(model, start, declarations.image)
        reading = replace(reading, stated=image.stated, missing=image.missing)
        custom = {**{name: declared(words) for name, words in declarations.lambdas.items()}, **declarations.custom}
        guessed = image.missing is not None
        builder = GraphBuilder(_graph_shape(image.shape, image.axes), custom, obstacles, guessed=guessed)
        entry = _entry(builder, image.shape, image.axes)
        outputs = evaluate(model, {start: entry}, builder, file.weights)
        reading = replace(reading, layers=tuple(builder.layers))
        if len(outputs) != 1:
            raise ModelFileError(
                f"the model has {len(outputs)} outputs, expected one: the probabilities (steps, classes)"
            )
        if not builder.failed:
            value = _probabilities(builder, outputs[0])
            softmax = builder.source(outputs[0]) is not builder.source(value)
            ends = Ends(start.layer, image.axes, outputs[0].time_major, softmax)
            network = Network(builder.graph(value), head, ends, builder.fragments, tuple(builder.notes))
            return replace(reading, network=network)
    except ModelFileError as error:
        consequence = obstacles and isinstance(error, TooManyFailuresError)
        # With a stand-in, an error at the end may come from its size.
        if not consequence and (reading.missing is None or not reading.layers):
            obstacles.append(Obstacle.of(error))
    return replace(reading, obstacles=grouped(obstacles))


# --- where the model starts ------------------------------------------------------------------------------------------


def _start(model: ModelConfig) -> Ref:
    """Find the input that the output depends on."""
    starts = [ref for ref in order(model) if _is_input(model, ref)]
    if len(starts) != 1:
        names = ", ".join(ref.layer for ref in starts) or "none"
        end = model.outputs[0].layer
        loss = (
            f"; if layer {end!r} is the loss, say so by --lambda '{end}=loss', or in the spec:"
            f' "lambdas": {{"{end}": "loss"}}'
        )
        raise ModelFileError(
            f"the prediction depends on the inputs {names}; expected one, the image: save keras.Model(image,"
            f" prediction){loss if len(starts) > 1 else ''}"
        )
    return starts[0]


def _is_input(model: ModelConfig, ref: Ref) -> bool:
    layer = model.layers.get(ref.layer)
    return layer is None or layer.kind == "InputLayer"


@dataclass(frozen=True)
class _Image:
    """The image that the model takes."""

    shape: Shape
    """Shape as the model takes it, without the batch axis; open sizes are replaced by a stand-in."""
    axes: Axes
    stated: tuple[int | None, ...]
    """The shape that the file states, as the graph takes it."""
    missing: Obstacle | None
    """The size that must be declared."""


def _image(model: ModelConfig, start: Ref, image: Shape | None) -> _Image:
    """Determine the image that the model takes.

    Raises:
        ModelFileError: the model's input is not an image.
    """
    layer = model.layers.get(start.layer) or next(iter(model.layers.values()))
    settings = layer.settings
    key = "batch_shape" if "batch_shape" in settings else "batch_input_shape"
    stated = settings.get(key)
    if not isinstance(stated, list) or not all(size is None or (type(size) is int and size > 0) for size in stated):
        raise layer.error(f"shape {stated!r}, expected (batch, width, height, channels); build the model with an Input")
    sizes = stated[1:]
    axes = _axes(model, sizes, image)
    if len(sizes) not in (2, 3):
        raise layer.error(f"shape {stated!r}, expected an image: (batch, width, height, channels)")
    declared_sizes = None if image is None else _model_shape(image, axes)
    missing = None
    fixed_sizes = list(sizes)
    if None in sizes:
        if declared_sizes is None or any(
            size not in (None, fixed) for size, fixed in zip(sizes, declared_sizes, strict=True)
        ):
            fixed_sizes = [_STAND_IN if size is None else size for size in sizes]
            now = "" if declared_sizes is None else f" (they give {declared_sizes} now)"
            reason = (
                f"shape {stated!r}; the spec must fix its open axes: give --width and --height (input.width and"
                f" input.height in MODEL.json) such that they fit{now}"
            )
            missing = Obstacle((layer.name,), layer.kind, reason)
        else:
            fixed_sizes = list(declared_sizes)
    if math.prod(fixed_sizes) > MAX_SIZE:
        raise layer.error(f"shape {stated!r}, expected at most {MAX_SIZE:,} values")
    return _Image(tuple(fixed_sizes), axes, _graph_shape(tuple(sizes), axes), missing)


def _axes(model: ModelConfig, sizes: Sequence[int | None], image: Shape | None) -> Axes:
    if len(sizes) == 2:
        return "no channels"
    if sizes[-1] in _CHANNELS and (image is None or sizes[-1] == image[-1]):
        first = _first_spatial(model)
        if first is None or first.settings.get("data_format") != "channels_first" or sizes[0] not in _CHANNELS:
            return "channels last"
    return "channels first" if sizes[0] in _CHANNELS else "channels last"


def _first_spatial(model: ModelConfig) -> LayerConfig | None:
    """Find the first layer that states the position of its channels."""
    layers = (model.layers[ref.layer] for ref in order(model) if ref.layer in model.layers)
    return next((layer for layer in layers if layer.settings.get("data_format") is not None), None)


def _model_shape(image: Shape, axes: Axes) -> Shape:
    """Convert the shape of an image from the spec's order to the model's."""
    match axes:
        case "channels last":
            return image
        case "channels first":
            return (image[2], image[0], image[1])
        case "no channels":
            return image[:2]


def _graph_shape(shape: tuple[_Size, ...], axes: Axes) -> tuple[_Size | int, ...]:
    """Convert the shape of an image from the model's order to the graph's, channels last."""
    match axes:
        case "channels last":
            return shape
        case "channels first":
            return (*shape[1:], shape[0])
        case "no channels":
            return (*shape, 1)


def _entry(builder: GraphBuilder, shape: Shape, axes: Axes) -> Value:
    """Make the image that the model takes from the image that the graph takes."""
    match axes:
        case "channels last":
            return builder.input
        case "channels first":
            return builder.put(Permute("channels first", (2, 0, 1)), builder.input)
        case "no channels":
            return builder.put(Reshape("without channels", shape), builder.input)


# --- where it ends ---------------------------------------------------------------------------------------------------


def _probabilities(builder: GraphBuilder, output: Value) -> Value:
    """Turn the model's output into probabilities (steps, classes)."""
    value = replace(output, time_major=False)
    kept = [length for length in value.shape[:-1] if length > 1]
    if len(value.shape) > 2 and len(kept) <= 1:  # axes of length 1 among steps and classes
        value = builder.put(Reshape("steps and classes", (max(kept, default=1), value.shape[-1])), value)
    if len(value.shape) != 2:
        raise ModelFileError(f"the model gives {output.shape} per image, expected (steps, classes): no CTC recogniser")
    last = builder.source(value)
    if builder.are_probabilities(value):
        return value
    if isinstance(last, Unary) and last.function == "log" and last.name == value.name:
        before = Value(last.inputs[0], value.shape)
        if isinstance(builder.source(before), Softmax):
            return before
    if last is None or (isinstance(last, Unary) and last.function not in ("linear", "log")):
        name = "its input" if last is None else f"layer {last.name!r}"
        raise ModelFileError(f"the model ends in {name}, expected a softmax, its logarithm, or the logits of a Dense")
    return builder.put(Softmax(ADDED_SOFTMAX), value)  # which turns logarithms back into probabilities, too
