"""Where an artifact goes wrong: each node's value in the artifact against the oracle's, matched by the graph's names.

The values are those of a copy in which every node's tensor is an output, run by the engine that ships; TensorRT fuses
less in it (see `probes`). How far the copy's probabilities are from the artifact's own tells what that changes.

The measure is the signal-to-noise ratio in dB, 10 log10(Σ r² / Σ (a - r)²) over all elements of a layer on all images,
a being the artifact's value as a real number and r the right one: infinite where both are the same, -infinite where a
is not finite. Float32 gives 100 and more; each bit of a quantised value is worth 6. It is taken three times:

- against the oracle's value, which tells how far the artifact has drifted by then, whoever is to blame;
- against what the oracle makes of the artifact's own values that the layer takes, which leaves the noise that this
  layer adds itself: what is inherited cannot hide a fault, nor make one;
- at the end, of the probabilities, when that noise alone is added to the right value and carried through all that
  depends on it. The layer to blame is the one with the lowest: one channel of large values makes a layer's own ratio
  look well while all that the others say is lost, and of what a layer loses the text may need nothing.

The first layer answers for what is done to the pixels before it, too. (Static int8 leaves a constant of less than half
a grey level to the first layer with weights: pools and transpositions before that layer are shown without it.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_crnn.alphabet import Alphabet
from edge_crnn.backends import open_backend
from edge_crnn.dataset import Dataset, Entry, chunked
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress

from ..graph import oracle
from ..graph.cells import Array
from ..graph.graph import INPUT, Graph
from ..graph.nodes import Node
from .gate import Readings
from .probes import Probe, computed, probing

_CARRIED, _RUNS = 8, 400
"""Most images on which each layer's noise is carried to the end, and how many runs of the graph on one image that may
take: for each layer, all that depends on it runs again."""


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
    copy_snr_db: float
    """Of the probabilities of the copy that was looked into, against those of the untouched artifact."""
    fused: bool = True
    """Whether the copy is fused as the artifact is: an output keeps TensorRT from fusing across it."""

    @property
    def to_blame(self) -> LayerDrift:
        """The first of the layers whose own noise does most to the probabilities."""
        return self.by_blame[0]

    @property
    def by_blame(self) -> list[LayerDrift]:
        """The layers, the one to blame first."""
        return sorted(self.layers, key=lambda layer: layer.end_snr_db)

    @property
    def table(self) -> list[str]:
        """Lines for a person."""
        width = max(len(layer.name) for layer in self.layers)
        heads = f"{'SNR dB':>7}  {'own dB':>7}  {'end dB':>7}  {'max |Δ|':>9}  {'mean |Δ|':>9}"
        lines = [f"  {'layer':<{width}}  {'kind':<10}  {heads}"]
        lines += [
            f"  {layer.name:<{width}}  {layer.kind:<10}  {_decibels(layer.snr_db):>7}  {_decibels(layer.own_snr_db):>7}"
            f"  {_decibels(layer.end_snr_db):>7}  {layer.largest:>9.2e}  {layer.mean:>9.2e}"
            for layer in self.layers
        ]
        if self.missing:
            lines.append(f"  without a tensor of their own: {', '.join(self.missing)}")
        blamed = self.to_blame
        lines.append(f"  to blame: {blamed.name}; its noise alone leaves {_decibels(blamed.end_snr_db)} dB at the end")
        lines.append(f"  probabilities as it ships: {_decibels(self.shipped_snr_db)} dB; {self.images} images")
        copy = "a copy" if self.fused else "a second engine, less fused for that"
        apart = "the same" if self.copy_snr_db == np.inf else f"those to {_decibels(self.copy_snr_db)} dB"
        lines.append(f"  looked into: {copy}, with all values as outputs; its probabilities are {apart}")
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
        artifact: of any kind that is converted to.
        graph: what it was made of, folded.
        image: what the graph takes, in float32.
        entries: the images.

    Raises:
        VerificationError: none of the graph's layers is in it by name.
        InputError: the `.onnx` that an engine was built of is not there.
        ArtifactError: an engine does not tell how it was built.
        BackendUnavailable: its engine, or for an `.onnx` or `.engine` the package `onnx`, is not installed.
        BackendError: the engine does not take the file, or TensorRT builds no second engine.
    """
    assert artifact.spec.artifact is not None  # `artifact.load` sees to it
    fixed, size = artifact.path.suffix == ".tflite", artifact.spec.artifact.batch
    size = size if fixed else min(size, _CARRIED)
    quantised = artifact.spec.output.quantisation is not None
    comparison = _Comparison(graph)
    ends, copies = _Sum(), _Sum()
    label = f"looking into {artifact.path.name}"
    with closing(open_backend(artifact)) as shipped, probing(artifact, graph, image) as probe:
        for chunk in chunked(progress((entry.load() for entry in entries), len(entries), label), size):
            taken = preprocess(chunk, artifact.spec.input)
            right, given = comparison.add(preprocess(chunk, image), _values(probe, taken, size))
            probabilities = shipped.infer(taken)
            ends.add(right, probabilities)
            copies.add(probabilities, given / given.sum(axis=-1, keepdims=True) if quantised else given)
    fused = artifact.path.suffix != ".engine"
    return Drift(comparison.layers, comparison.missing, len(entries), ends.snr_db, copies.snr_db, fused)


def _values(probe: Probe, batch: Array, size: int) -> dict[str, Array]:
    """What the artifact, which takes batches of this size, makes of a batch that may be smaller."""
    repeats = np.resize(np.arange(len(batch)), size)
    return {name: value[: len(batch)] for name, value in probe(batch[repeats]).items()}


class _Comparison:
    """All nodes of a graph, over all that was added."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._drifts: dict[str, _Sum] = {}
        self._owns: dict[str, _Sum] = {}
        self._ends: dict[str, _Sum] = {}
        self._left = max(1, min(_CARRIED, _RUNS // max(len(graph.nodes), 1)))

    def add(self, batch: Array, values: Mapping[str, Array]) -> tuple[Array, Array]:
        """Compare the artifact's values of a batch; the right probabilities, and the artifact's."""
        right, given = {INPUT: batch}, {INPUT: batch}
        noises: dict[str, Array] = {}
        with np.errstate(all="ignore"):  # a broken value before the layer
            for node in self._graph.nodes:
                name = node.name
                right[name] = oracle.evaluate(node, [right[taken] for taken in node.inputs])
                own = oracle.evaluate(node, [given[taken] for taken in node.inputs])
                given[name] = values.get(name, own)
                if name in values:
                    expected = np.broadcast_to(right[name], given[name].shape)
                    self._drifts.setdefault(name, _Sum()).add(expected, given[name])
                    self._owns.setdefault(name, _Sum()).add(np.broadcast_to(own, given[name].shape), given[name])
                    noises[name] = given[name] - own
            if self._left:
                self._carry({name: value[: self._left] for name, value in right.items()}, noises)
                self._left -= min(self._left, len(batch))
        output = self._graph.output
        return right[output], given[output]

    def _carry(self, right: Mapping[str, Array], noises: Mapping[str, Array]) -> None:
        """Add each node's noise to its right value, and see what that makes of the probabilities."""
        end = right[self._graph.output]
        for name, noise in noises.items():
            changed = end
            if noise.any():  # what only moves values adds none
                noisy = right[name] + noise[: self._left]
                changed = oracle.resume(self._graph, {**_apart_from(self._graph, name, right), name: noisy})
            self._ends.setdefault(name, _Sum()).add(end, changed)

    @property
    def layers(self) -> tuple[LayerDrift, ...]:
        """What was compared, in the graph's order."""
        return tuple(self._layer(node) for node in self._graph.nodes if node.name in self._drifts)

    def _layer(self, node: Node) -> LayerDrift:
        drift, own, end = (sums[node.name] for sums in (self._drifts, self._owns, self._ends))
        return LayerDrift(node.name, node.kind, drift.snr_db, own.snr_db, end.snr_db, drift.largest, drift.mean)

    @property
    def missing(self) -> tuple[str, ...]:
        """Nodes that have no value in the artifact."""
        return tuple(node.name for node in computed(self._graph) if node.name not in self._drifts)


def _apart_from(graph: Graph, name: str, values: Mapping[str, Array]) -> dict[str, Array]:
    """The values that do not depend on that of a node."""
    depend = {name}
    for node in graph.nodes:
        if not depend.isdisjoint(node.inputs):
            depend.add(node.name)
    return {known: value for known, value in values.items() if known not in depend}


def worst(
    datasets: Sequence[Dataset], reference: Sequence[Readings], artifact: Sequence[Readings], count: int
) -> list[Departure]:
    """The images on which an artifact departs most: those with another text first, then by the SNR of the output."""
    departures = []
    for dataset, theirs, ours in zip(datasets, reference, artifact, strict=True):
        for index, entry in enumerate(dataset):
            noise = _Sum()
            noise.add(theirs.probabilities[index], ours.probabilities[index])
            departures.append(Departure(entry.path, noise.snr_db, theirs.labels[index], ours.labels[index]))
    return sorted(departures, key=lambda one: (one.reference == one.artifact, one.snr_db))[:count]


def worst_table(departures: Sequence[Departure], alphabet: Alphabet) -> list[str]:
    """Lines for a person."""
    return ["  furthest from the trained model, SNR of the probabilities:"] + [
        f"  {_decibels(departure.snr_db):>7} dB  {departure.path}: "
        + (
            f"both {alphabet.read(departure.reference)!r}"
            if departure.reference == departure.artifact
            else f"trained model {alphabet.read(departure.reference)!r}, artifact {alphabet.read(departure.artifact)!r}"
        )
        for departure in departures
    ]


def _decibels(value: float) -> str:
    return "exact" if value == np.inf else f"{value:.1f}"


class _Sum:
    """Signal and noise over all that was added."""

    def __init__(self) -> None:
        self._signal = self._noise = self._distance = self.largest = 0.0
        self._count = 0

    def add(self, expected: Array, given: Array) -> None:
        """Elements where the expected value is not finite say nothing and are left out."""
        known = np.isfinite(expected)
        signal, difference = (
            expected[known].astype(np.float64),
            np.abs(given[known] - expected[known].astype(np.float64)),
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
