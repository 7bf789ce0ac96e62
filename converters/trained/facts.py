"""Reads what the file of a trained model states, without starting Keras: for `info`, and to fill in a spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import BackendUnavailable, ModelFileError

from ..graph.axes import step_axis
from ..graph.cost import multiplications
from ..graph.graph import INPUT, Graph
from ..graph.nodes import (
    Affine,
    Binary,
    Constant,
    Node,
    Pad,
    Permute,
    Pool,
    Reshape,
    Resize,
    Reverse,
    Shape,
    Slice,
    Unary,
)
from .keras.builder import ConvertedLayer
from .keras.model import ADDED_SOFTMAX, Declarations, Ends, Network, Reading, read_network
from .keras.vocabulary import Vocabulary, vocabularies
from .keras.weights import Structure
from .obstacles import Obstacle, message
from .tf1.checkpoint import find_checkpoint
from .tf1.model import INPUT_SHAPE, load_tf1_graph

_SCALES = ("ops.", "Lambda", "Normalization", "Rescaling", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
"""Prefixes of the classes of layers that may scale pixels; a batch norm belongs to the network itself."""
_MOST = 0.1
"""A smaller factor means that pixels range from 0 to 255; images that were scaled before need a larger one."""
_AXES: tuple[Literal["WHC"], Literal["HWC"]] = ("WHC", "HWC")


@dataclass(frozen=True)
class Scaling:
    """The scaling that the network itself applies to pixels first: `x * scale + offset`."""

    scale: tuple[float, ...]
    """One number, or one per channel."""
    offset: tuple[float, ...]
    """One number, or one per channel."""
    layers: tuple[str, ...]
    """Names of the layers that scale."""

    @property
    def raw_pixels(self) -> bool:
        """Whether the scaling is meant for pixels from 0 to 255."""
        return max(map(abs, self.scale)) < _MOST

    def __str__(self) -> str:
        return f"pixel · {_numbers(self.scale)} + {_numbers(self.offset)}".replace("+ -", "- ")


@dataclass(frozen=True)
class FileFacts:
    """The facts that a model file states; None if it does not state a fact, or an obstacle hides it."""

    path: Path
    shape: tuple[int | None, int | None, int | None] | None
    """Shape of the image as the graph takes it, channels last; a size is None if the file leaves it open."""
    axes: Literal["HWC", "WHC"] | None = None
    """Order of the axes of the image; the text runs along the axis that becomes the steps."""
    steps: int | None = None
    classes: int | None = None
    parameters: int | None = None
    multiplications: int | None = None
    """Multiplications for one image, in convolutions and matrix products, before folding."""
    vocabulary: tuple[str | None, ...] | None = None
    """The symbols of the file's lookup layer, by number; None for the mask and [UNK], which no text contains. The blank
    is not among them."""
    oov: int = 0
    """Number of entries that stand for unknown symbols, [UNK]."""
    mask: str | None = None
    """The text of number 0 of the vocabulary, if it is a mask."""
    blank: Literal["first"] | None = None
    """"first" if the model was compiled with `keras.losses.CTC`, whose blank is class 0."""
    scaling: Scaling | None = None
    """The scaling that the network itself applies; None: none."""
    softmax: bool = False
    """Whether the model ends in logits, so that the conversion adds a softmax."""
    head: str | None = None
    """Name of the training head, which is not converted."""
    layers: tuple[ConvertedLayer, ...] = ()
    """The layers that the prediction needs."""
    lambdas: tuple[str, ...] = ()
    """Names of Lambdas whose meaning must be declared."""
    notes: tuple[str, ...] = ()
    """Remarks on the conversion for the user."""
    obstacles: tuple[Obstacle, ...] = ()
    """The reasons why the model cannot be converted."""
    missing: Obstacle | None = None
    """The missing image size, which must be declared before the model can be converted."""
    network: Network | None = None
    """The network, as `load_network` returns it; None if there are obstacles, a size is open, or weights are unread."""
    unread: BackendUnavailable | None = None
    """The reason why the weights could not be read. Facts that depend on their values are None."""

    @property
    def expects_raw_pixels(self) -> bool:
        """Whether the network scales pixels from 0 to 255 itself."""
        return self.scaling is not None and self.scaling.raw_pixels

    def require_network(self) -> Network:
        """Return the network.

        Raises:
            ModelFileError: there are obstacles, or a size is open; the message lists all of them.
            BackendUnavailable: the weights could not be read.
        """
        if self.unread is not None:
            raise self.unread
        if self.network is None:
            raise ModelFileError(message(self.path, [*filter(None, [self.missing]), *self.obstacles]))
        return self.network


def file_facts(path: Path, structure: Structure | None = None, declarations: Declarations | None = None) -> FileFacts:
    """Collect what a model file states.

    Args:
        path: a `.keras` or `.h5` file, or a checkpoint of TensorFlow 1.
        structure: what a file of weights alone does not say.
        declarations: what the user says of the model.

    Raises:
        ModelFileError: the file cannot be read, is damaged, or is no trained model; the message says what it is.
    """
    index = find_checkpoint(path)
    if index is not None:
        return _of_checkpoint(index, declarations)
    return facts_of(path, read_network(path, structure, declarations))


def facts_of(path: Path, reading: Reading) -> FileFacts:
    """Collect what a model file states, once it has been read."""
    network = reading.network
    file = reading.file
    candidates = vocabularies(file)
    vocabulary = candidates[0] if len(candidates) == 1 else None
    facts = FileFacts(
        path=path,
        shape=_three(reading.stated),
        vocabulary=vocabulary.symbols if vocabulary else None,
        oov=vocabulary.oov if vocabulary else 0,
        mask=vocabulary.mask if vocabulary else None,
        blank="first" if not file.keras2 and _has_ctc_loss(file.training) else None,
        head=None if network is None else network.head,
        layers=reading.layers,
        lambdas=tuple(name for obstacle in reading.obstacles if obstacle.kind == "Lambda" for name in obstacle.layers),
        notes=(*_ambiguous(candidates), *(() if network is None else network.notes)),
        obstacles=reading.obstacles,
        missing=reading.missing,
        network=network if reading.missing is None and file.unread is None else None,
        unread=file.unread,
    )
    if network is None:
        return facts
    kinds = {layer.name: layer.kind for layer in reading.layers}
    facts = _with_graph(facts, network.graph, kinds)
    scaling = () if facts.scaling is None else facts.scaling.layers
    if file.unread is not None and "Normalization" in map(kinds.get, scaling):
        facts = replace(facts, scaling=None)  # its numbers may be among the weights
    return facts


def _of_checkpoint(index: Path, declarations: Declarations | None) -> FileFacts:
    image = None if declarations is None else declarations.image
    graph = load_tf1_graph(index, image or INPUT_SHAPE)
    _, height, channels = graph.input_shape
    missing = Obstacle(
        (), "", "a checkpoint does not say how wide its images are: give --width (input.width in its spec)"
    )
    facts = FileFacts(
        path=index,
        shape=(None if image is None else image[0], height, channels),
        layers=tuple(ConvertedLayer(node.name, type(node).__name__, graph.shapes[node.name]) for node in graph.nodes),
        missing=missing if image is None else None,
        network=None if image is None else Network(graph, ends=Ends(softmax=True)),
    )
    return _with_graph(facts, graph, {})


def _with_graph(facts: FileFacts, graph: Graph, kinds: Mapping[str, str]) -> FileFacts:
    steps, classes = graph.output_shape
    along = step_axis(graph)
    is_fixed = facts.missing is None  # otherwise the lengths are those of a stand-in
    return replace(
        facts,
        axes=None if along is None else _AXES[along],
        steps=steps if is_fixed else None,
        classes=classes,
        parameters=graph.parameters,
        multiplications=multiplications(graph) if is_fixed else None,
        scaling=_scaling(graph, kinds),
        softmax=graph.output == ADDED_SOFTMAX,
    )


def _three(stated: Sequence[int | None]) -> tuple[int | None, int | None, int | None] | None:
    if len(stated) != 3:
        return None
    first, second, channels = stated
    return first, second, channels


# --- the loss --------------------------------------------------------------------------------------------------------


def _has_ctc_loss(training: Mapping[str, Any]) -> bool:
    """Return whether the model was compiled with Keras 3's own CTC loss, whose `mask_index` is 0."""
    match training.get("loss"):
        case {"class_name": "CTC", **more}:
            return str(more.get("module", "keras")).startswith("keras")  # which an .h5 leaves out
        case loss:
            return loss == "ctc"


def _ambiguous(candidates: Sequence[Vocabulary]) -> tuple[str, ...]:
    if len(candidates) < 2:
        return ()
    names = ", ".join(f"{vocabulary.layer!r} ({vocabulary.kind})" for vocabulary in candidates)
    return (f"the layers {names} have different vocabularies, so none of them is taken for the alphabet",)


# --- scaling ---------------------------------------------------------------------------------------------------------

_Numbers = npt.NDArray[np.float64]


def _scaling(graph: Graph, kinds: Mapping[str, str]) -> Scaling | None:
    """Combine what the first nodes do to a pixel, as long as it is the same for all pixels of a channel."""
    scale: _Numbers = np.ones(1)
    offset: _Numbers = np.zeros(1)
    layers: list[str] = []
    value = INPUT
    moved = False
    while len(graph.consumers[value]) == 1:
        (node,) = graph.consumers[value]
        if _keeps_levels(node):
            moved |= _moves_channels(node, graph.shapes[value])
            value = node.name
            continue
        layer = _layer_of(node, kinds)
        pair = _factor_and_shift(graph, node, value)
        if pair is None or not kinds.get(layer, "").startswith(_SCALES):
            break
        factor, shift = map(_plain, pair)
        if moved and max(factor.size, shift.size) > 1:
            break
        scale, offset = scale * factor, offset * factor + shift
        layers.append(layer)
        value = node.name
    if not layers:
        return None
    plain_scale, plain_offset = (tuple(map(float, _plain(numbers))) for numbers in (scale, offset))
    return Scaling(plain_scale, plain_offset, tuple(dict.fromkeys(layers)))


def _keeps_levels(node: Node) -> bool:
    """Return whether a node leaves grey levels what they are: it moves pixels, or mixes them by weights of sum 1."""
    return isinstance(node, Permute | Reshape | Slice | Reverse | Pad | Resize) or (
        isinstance(node, Pool) and node.mode == "average"
    )


def _moves_channels(node: Node, shape: Shape) -> bool:
    """Return whether a channel may have another number after a node that takes a value of this shape."""
    match node:
        case Slice(starts=starts, stops=stops, steps=steps):
            return (starts[-1], stops[-1], steps[-1]) != (0, shape[-1], 1)
        case Pad(pads=pads):
            return any(pads[-1])
        case Reverse(axis=axis):
            return axis == len(shape) - 1
    return isinstance(node, Permute | Reshape)


def _layer_of(node: Node, kinds: Mapping[str, str]) -> str:
    name = node.name
    while name not in kinds and "/" in name:
        name = name.rpartition("/")[0]
    return name


def _factor_and_shift(graph: Graph, node: Node, value: str) -> tuple[_Numbers, _Numbers] | None:
    """Return factor and shift of a node that computes `value * factor + shift`; None for other nodes."""
    none = np.zeros(1)
    unit = np.ones(1)
    match node:
        case Affine(scale=scale, shift=shift, activation="linear"):
            return scale.astype(np.float64), shift.astype(np.float64)
        case Unary(function="negative"):
            return -unit, none
        case Unary(function="linear"):
            return unit, none
        case Binary(operator=operator, activation="linear") if node.inputs[0] != node.inputs[1]:
            place = node.inputs.index(value)
            other = graph.by_name.get(node.inputs[1 - place])
            if not isinstance(other, Constant) or other.value.size not in (1, other.value.shape[-1]):
                return None
            numbers = other.value.astype(np.float64).reshape(-1)
            match operator:
                case "add":
                    return unit, numbers
                case "subtract":
                    return (unit, -numbers) if place == 0 else (-unit, numbers)
                case "multiply":
                    return numbers, none
                case "divide" if place == 0 and numbers.all():
                    return 1 / numbers, none
    return None


def _plain(numbers: _Numbers) -> _Numbers:
    """Reduce equal numbers to one."""
    return numbers[:1] if np.ptp(numbers) == 0 else numbers


def _numbers(numbers: Sequence[float]) -> str:
    return f"{numbers[0]:.6g}" if len(numbers) == 1 else f"({', '.join(f'{number:.6g}' for number in numbers)})"
