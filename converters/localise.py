"""Where an artifact goes wrong: each layer's value in the artifact against the oracle's, matched by the graph's names.

The values are those of the engine that ships: in a copy in memory every layer's tensor is made an output of the file,
and is run as the file itself is. (LiteRT can keep all tensors without that, but only without XNNPACK, whose kernels
round otherwise: in int8 by one or two steps at nearly every layer.)

The measure is the signal-to-noise ratio in dB, 10 log10(Σ r² / Σ (a - r)²) over all elements of a layer on all images,
a being the artifact's value as a real number and r the right one: infinite where both are the same, -infinite where a
is not finite. Float32 gives 100 and more; each bit of a quantised value is worth 6. It is taken three times:

- against the oracle's value, which tells how far the artifact has drifted by then, whoever is to blame;
- against what the oracle makes of the artifact's own value before the layer, which leaves the noise that this layer
  adds itself: what is inherited cannot hide a fault, nor make one;
- at the end, of the probabilities, when that noise alone is added to the right value and carried through the rest of
  the graph. The layer to blame is the one with the lowest: one channel of large values makes a layer's own ratio look
  well while all that the others say is lost, and of what a layer loses the text may need nothing.

The first layer answers for what is done to the pixels before it, too. (Static int8 leaves a constant of less than half
a grey level to the first layer with weights: pools and transpositions before that layer are shown without it.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_crnn.alphabet import Alphabet
from edge_crnn.artifact import Artifact
from edge_crnn.backends import open_backend
from edge_crnn.dataset import Dataset, Entry, chunked
from edge_crnn.errors import BackendUnavailable, InputError, VerificationError
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress
from edge_crnn.spec import InputSpec

from . import oracle
from .graph import Array, Graph, Layer, Recurrent
from .verify import Readings

PROBED = (".tflite", ".onnx")
"""Suffixes of artifacts that can be looked into. TensorRT shows no value inside an engine that is built."""

_CARRIED = 8
"""Images on which each layer's noise is carried to the end: as many layers, as many runs of the rest of the graph."""
_ONNX_QUIET = 4  # only fatal errors: all others are raised as well

_Batch: TypeAlias = npt.NDArray[Any]
_Probe: TypeAlias = Callable[[_Batch], dict[str, Array]]
"""A batch as the artifact takes it → the value of each layer that is found in it, real and in the graph's axes."""


@dataclass(frozen=True)
class LayerDrift:
    """One layer of the graph, in the artifact."""

    name: str
    kind: str
    snr_db: float
    """Against the oracle."""
    own_snr_db: float
    """Against what the oracle makes of the value that the artifact gives this layer."""
    end_snr_db: float
    """Of the probabilities, if this layer added that noise of its own and all others none: what it does to the text."""
    largest: float
    """|artifact - oracle|."""
    mean: float
    """|artifact - oracle|."""


@dataclass(frozen=True)
class Drift:
    """An artifact, layer by layer."""

    layers: tuple[LayerDrift, ...]
    missing: tuple[str, ...]
    """Layers that have no tensor of their own in the file; the next one's own noise covers them."""
    images: int
    shipped_snr_db: float
    """Of the probabilities as the untouched artifact gives them, against the oracle's."""

    @property
    def to_blame(self) -> LayerDrift:
        """The first of the layers whose own noise does most to the probabilities."""
        return self.by_blame[0]

    @property
    def by_blame(self) -> list[LayerDrift]:
        """The layers, the one to blame first."""
        return sorted(self.layers, key=lambda each: each.end_snr_db)

    @property
    def table(self) -> list[str]:
        """Lines for a person."""
        width = max(len(each.name) for each in self.layers)
        heads = f"{'SNR dB':>7}  {'own dB':>7}  {'end dB':>7}  {'max |Δ|':>9}  {'mean |Δ|':>9}"
        lines = [f"  {'layer':<{width}}  {'kind':<10}  {heads}"]
        lines += [
            f"  {each.name:<{width}}  {each.kind:<10}  {_decibels(each.snr_db):>7}  {_decibels(each.own_snr_db):>7}"
            f"  {_decibels(each.end_snr_db):>7}  {each.largest:>9.2e}  {each.mean:>9.2e}"
            for each in self.layers
        ]
        if self.missing:
            lines.append(f"  without a tensor of their own: {', '.join(self.missing)}")
        blamed = self.to_blame
        lines.append(f"  to blame: {blamed.name}; its noise alone leaves {_decibels(blamed.end_snr_db)} dB at the end")
        lines.append(f"  probabilities as it ships: {_decibels(self.shipped_snr_db)} dB; {self.images} images")
        return lines


@dataclass(frozen=True)
class Departure:
    """An image, and how far an artifact's probabilities are from the trained model's on it."""

    path: Path
    snr_db: float
    reference: str
    artifact: str
    """Labels that the two read."""


def spread(datasets: Sequence[Dataset], count: int) -> list[Entry]:
    """At most `count` images from all over the datasets."""
    entries = [entry for dataset in datasets for entry in dataset]
    return entries[:: -(-len(entries) // count)]


def localise(artifact: Artifact, graph: Graph, image: InputSpec, entries: Sequence[Entry]) -> Drift:
    """Run images through an artifact and through the oracle, and compare every layer.

    Args:
        artifact: `.tflite` or `.onnx`.
        graph: what it was made of, folded.
        image: what the graph takes, in float32.
        entries: the images.

    Raises:
        InputError: an artifact of another kind.
        VerificationError: none of the graph's layers is in it by name.
        BackendUnavailable: its engine, or for an `.onnx` the package `onnx`, is not installed.
        BackendError: the engine does not take the file.
    """
    if artifact.path.suffix not in PROBED:
        raise InputError(
            f"{artifact.path}: found {artifact.path.suffix!r}, expected {' or '.join(PROBED)}; TensorRT shows no value"
            " inside an engine: look into the .onnx that it was built of"
        )
    assert artifact.spec.artifact is not None  # `artifact.load` sees to it
    size = artifact.spec.artifact.batch
    shipped = open_backend(artifact)
    drifts: dict[str, _Sum] = {}
    owns: dict[str, _Sum] = {}
    carried: dict[str, _Sum] = {}
    ends = _Sum()
    seen = 0
    label = f"looking into {artifact.path.name}"
    try:
        probe = (_tflite_probe if artifact.path.suffix == ".tflite" else _onnx_probe)(artifact, graph)
        for chunk in chunked(progress((each.load() for each in entries), len(entries), label), size):
            taken = preprocess(chunk, artifact.spec.input)
            repeats = np.resize(np.arange(len(chunk)), size)  # the file takes whole batches
            found = {name: value[: len(chunk)] for name, value in probe(taken[repeats]).items()}
            expected = given = preprocess(chunk, image)
            noisy: dict[int, Array] = {}
            with np.errstate(over="ignore", invalid="ignore"):  # a broken value before the layer
                for place, layer in enumerate(graph.layers):
                    alone = Graph(expected.shape[1:], (layer,))
                    expected, own = oracle.run(alone, expected), oracle.run(alone, given)
                    given = found.get(layer.name, own)
                    if layer.name in found:
                        drifts.setdefault(layer.name, _Sum()).add(expected, given)
                        owns.setdefault(layer.name, _Sum()).add(own, given)
                        noisy[place] = expected + (given - own)
                if seen < _CARRIED:
                    for place, value in noisy.items():
                        rest = Graph(value.shape[1:], graph.layers[place + 1 :])
                        carried.setdefault(graph.layers[place].name, _Sum()).add(expected, oracle.run(rest, value))
            seen += len(chunk)
            ends.add(expected, shipped.infer(taken))
    finally:
        shipped.close()
    if not drifts:
        raise VerificationError(
            f"{artifact.path}: none of the layers {', '.join(each.name for each in graph.layers)} is in it by name;"
            " convert the model again"
        )
    layers = tuple(
        LayerDrift(
            each.name, type(each).__name__.lower(), drifts[each.name].snr_db, owns[each.name].snr_db,
            carried[each.name].snr_db, drifts[each.name].largest, drifts[each.name].mean,
        )
        for each in graph.layers
        if each.name in drifts
    )  # fmt: skip
    missing = tuple(each.name for each in graph.layers if each.name not in drifts)
    return Drift(layers, missing, len(entries), ends.snr_db)


def worst(
    datasets: Sequence[Dataset], reference: Sequence[Readings], artifact: Sequence[Readings], count: int
) -> list[Departure]:
    """The images on which an artifact departs most: those with another text first, then by the SNR of the output."""
    departures = []
    for dataset, theirs, ours in zip(datasets, reference, artifact, strict=True):
        for index, entry in enumerate(dataset):
            one = _Sum()
            one.add(theirs.probabilities[index], ours.probabilities[index])
            departures.append(Departure(entry.path, one.snr_db, theirs.labels[index], ours.labels[index]))
    return sorted(departures, key=lambda each: (each.reference == each.artifact, each.snr_db))[:count]


def worst_table(departures: Sequence[Departure], alphabet: Alphabet) -> list[str]:
    """Lines for a person."""
    return ["  furthest from the trained model, SNR of the probabilities:"] + [
        f"  {_decibels(each.snr_db):>7} dB  {each.path}: "
        + (
            f"both {alphabet.read(each.reference)!r}"
            if each.reference == each.artifact
            else f"trained model {alphabet.read(each.reference)!r}, artifact {alphabet.read(each.artifact)!r}"
        )
        for each in departures
    ]


def _decibels(value: float) -> str:
    return "exact" if value == np.inf else f"{value:.1f}"


class _Sum:
    """Signal and noise over all that was added."""

    def __init__(self) -> None:
        self._signal = self._noise = self._distance = self.largest = 0.0
        self._count = 0

    def add(self, expected: Array, found: Array) -> None:
        """Elements where the expected value is not finite say nothing and are left out."""
        known = np.isfinite(expected)
        signal, difference = (
            expected[known].astype(np.float64),
            np.abs(found[known] - expected[known].astype(np.float64)),
        )
        difference = np.nan_to_num(difference, nan=np.inf, posinf=np.inf)
        self._signal += float(np.square(signal).sum())
        self._noise += float(np.square(difference).sum())
        self._distance += float(difference.sum())
        self._count += difference.size
        self.largest = max(self.largest, float(difference.max(initial=0.0)))

    @property
    def snr_db(self) -> float:
        if self._noise == 0:
            return np.inf
        with np.errstate(divide="ignore"):
            return float(10 * np.log10(self._signal / self._noise))

    @property
    def mean(self) -> float:
        return self._distance / max(self._count, 1)


def _tflite_probe(artifact: Artifact, graph: Graph) -> _Probe:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    from .tflite_writer import pack

    model = schema.ModelT.InitFromPackedBuf(artifact.payload, 0)
    main = model.subgraphs[0]
    made = {main.tensors[index].name.decode(): int(index) for op in main.operators for index in op.outputs}
    found = {layer.name: made[name] for layer in graph.layers for name in _tensor_names(layer) if name in made}
    ends = [int(index) for index in main.outputs]
    main.outputs = [*ends, *dict.fromkeys(index for index in found.values() if index not in ends)]
    interpreter = Interpreter(model_content=pack(model), num_threads=1)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    quantisations = {each["index"]: each["quantization"] for each in interpreter.get_output_details()}

    def value(index: int) -> Array:
        stored, (scale, zero_point) = interpreter.get_tensor(index), quantisations[index]
        real = stored.astype(np.float32)
        return np.asarray((real - np.float32(zero_point)) * np.float32(scale) if scale else real)

    def probe(batch: _Batch) -> dict[str, Array]:
        interpreter.set_tensor(image, batch)
        interpreter.invoke()
        return {name: value(index) for name, index in found.items()}

    return probe


def _tensor_names(layer: Layer) -> list[str]:
    """What a layer's value may be called in a `.tflite`, the last one that is there being it."""
    if isinstance(layer, Recurrent) and len(layer.cells) == 1:  # nothing to merge: the direction's value is the layer's
        return [f"{layer.name}/{layer.cells[0][0]}/hidden:samples", layer.name]
    return [layer.name]


def _onnx_probe(artifact: Artifact, graph: Graph) -> _Probe:
    import onnxruntime

    try:
        import onnx

        from .to_onnx import wants_channels_first
    except ImportError as error:
        raise BackendUnavailable(
            f"{artifact.path.name}: looking into it takes the package onnx ({error}); pip install 'edge-crnn[onnx]'"
        ) from error
    model = onnx.load_model_from_string(artifact.payload)
    last = {node.name.rpartition("/")[0]: node.output[0] for node in model.graph.node}  # a node is LAYER/OP
    found = {layer.name: last[layer.name] for layer in graph.layers if layer.name in last}
    turned = {layer.name for layer, shape, _ in graph.shapes() if wants_channels_first(layer, shape)}
    ends = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in found.values() if name not in ends)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.log_severity_level = _ONNX_QUIET
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    image = session.get_inputs()[0].name

    def probe(batch: _Batch) -> dict[str, Array]:
        values = zip(found, session.run([*found.values()], {image: batch}), strict=True)
        return {
            name: np.asarray(value.transpose(0, 2, 3, 1) if name in turned else value, np.float32)
            for name, value in values
        }

    return probe
