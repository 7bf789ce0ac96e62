"""Finds the layer where an artifact goes wrong: compares the value of every node with the oracle's, by name.

The artifact's values come from a copy in which every node's tensor is an output, run by the engine that ships;
TensorRT fuses less in such a copy (see `probes`). The difference between the probabilities of the copy and those of the
artifact itself shows how much that matters.

The measure is the signal-to-noise ratio in dB, 10 log10(Σ r² / Σ (a - r)²), over all elements of a layer on all images,
where a is the artifact's value as a real number and r is the correct one. It is infinite where both are equal, and
-infinite where a is not finite. Float32 gives 100 dB and more; each bit of a quantised value adds 6 dB. Three ratios
are computed for each layer:

- drift: against the oracle's value. It shows how far the artifact has drifted by then, whichever layer caused it.
- own noise: against what the oracle computes from the artifact's own inputs of that layer. Only the noise that the
  layer itself adds remains, so inherited noise can neither hide a fault nor look like one.
- effect at the end: of the probabilities, when that noise alone is added to the correct value and carried through all
  layers that depend on it. The layer to blame has the lowest ratio. The own noise would not find it: one channel of
  large values makes a layer's ratio look good although the other channels are lost, and not all that a layer loses
  matters to the text.

Faults in the preparation of the pixels show in the first layer. (Static int8 passes a constant of less than half a grey
level on to the first layer with weights; the pools and transpositions before that layer are shown without it.)
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

_MAX_CARRIED = 8
"""Most images on which the noise of each layer is carried to the end."""
NOTABLE_DB = 22.0
"""Ratio at the end below which a layer is to blame: its noise is a thirteenth of the signal.

With one kernel of a tiny network scaled by 0.5 to 0.98, texts changed at 21.7 dB and less, and none did above. Sound
artifacts of it had 22 dB (int8-full), 30 dB (int8), 57 dB (float16) and 124 dB (float32) in their worst layer; the int8
artifacts of two trained networks had 48 and 55 dB.
"""
_MAX_RUNS = 400
"""Most runs of the whole graph on one image for that: for each layer, all that depends on it runs again."""


@dataclass(frozen=True)
class LayerDrift:
    """The distance of one layer of the artifact from the correct values."""

    name: str
    kind: str
    snr_db: float
    """Ratio against the oracle's value."""
    own_snr_db: float
    """Ratio against the oracle's value for the inputs that this layer has in the artifact."""
    end_snr_db: float
    """Ratio of the probabilities if this layer alone added its own noise."""
    largest: float
    """Largest |artifact - oracle|."""
    mean: float
    """Mean |artifact - oracle|."""


@dataclass(frozen=True)
class Drift:
    """The distance of an artifact from the correct values, layer by layer."""

    layers: tuple[LayerDrift, ...]
    missing: tuple[str, ...]
    """Layers without a tensor of their own in the file; the own noise of the next layer includes theirs."""
    images: int
    shipped_snr_db: float
    """Ratio of the untouched artifact's probabilities against the oracle's."""
    copy_snr_db: float
    """Ratio of the copy's probabilities against the untouched artifact's."""
    fused: bool = True
    """Whether the copy is fused as the artifact is; TensorRT does not fuse across an output."""

    @property
    def to_blame(self) -> LayerDrift:
        """The layer whose own noise harms the probabilities most; the first of several."""
        return self.by_blame[0]

    @property
    def by_blame(self) -> list[LayerDrift]:
        """The layers in the order of blame."""
        return sorted(self.layers, key=lambda layer: layer.end_snr_db)

    @property
    def table(self) -> list[str]:
        """The table in lines: a row for each layer, and the conclusion."""
        width = max(len(layer.name) for layer in self.layers)
        titles = f"{'SNR dB':>7}  {'own dB':>7}  {'end dB':>7}  {'max |Δ|':>9}  {'mean |Δ|':>9}"
        lines = [f"  {'layer':<{width}}  {'kind':<10}  {titles}"]
        for layer in self.layers:
            ratios = "  ".join(f"{_decibels(db):>7}" for db in (layer.snr_db, layer.own_snr_db, layer.end_snr_db))
            lines.append(
                f"  {layer.name:<{width}}  {layer.kind:<10}  {ratios}  {layer.largest:>9.2e}  {layer.mean:>9.2e}"
            )
        if self.missing:
            lines.append(f"  without a tensor of their own: {', '.join(self.missing)}")
        lines.append(f"  {self._conclusion}")
        lines.append(f"  probabilities as it ships: {_decibels(self.shipped_snr_db)} dB; {self.images} images")
        lines.append(f"  measured in: {self._copy}")
        return lines

    @property
    def _conclusion(self) -> str:
        worst_layer = self.to_blame
        decibels = _decibels(worst_layer.end_snr_db)
        if worst_layer.end_snr_db < NOTABLE_DB:
            return f"to blame: {worst_layer.name}; its noise alone leaves {decibels} dB at the end"
        if worst_layer.end_snr_db == np.inf:
            return "no layer stands out: all are exact"
        return f"no layer stands out: {worst_layer.name} differs most, and leaves {decibels} dB at the end"

    @property
    def _copy(self) -> str:
        """The copy that was measured, and how closely it matches the artifact."""
        copy = "a copy" if self.fused else "a second engine, which is fused less"
        if self.copy_snr_db == np.inf:
            return f"{copy}, with all values as outputs; its probabilities are the same"
        return f"{copy}, with all values as outputs; its probabilities agree to {_decibels(self.copy_snr_db)} dB"


@dataclass(frozen=True)
class Departure:
    """An image, and how far the artifact's probabilities are from the trained model's on it."""

    path: Path
    snr_db: float
    reference: str
    """Label that the trained model reads."""
    artifact: str
    """Label that the artifact reads."""


def spread(datasets: Sequence[Dataset], count: int) -> list[Entry]:
    """Return at most `count` images, evenly spread over the datasets."""
    entries = [entry for dataset in datasets for entry in dataset]
    step = -(-len(entries) // count)
    return entries[::step]


def localise(artifact: Artifact, graph: Graph, image: InputSpec, entries: Sequence[Entry]) -> Drift:
    """Run images through an artifact and through the oracle, and compare every layer.

    Args:
        artifact: a `.tflite`, `.onnx` or `.engine`.
        graph: the folded graph that it was made from.
        image: the image that the graph takes, in float32.
        entries: the images.

    Raises:
        VerificationError: the artifact has no tensor with the name of a layer.
        InputError: the `.onnx` that an engine was built from is missing.
        ArtifactError: an engine does not say how it was built.
        BackendUnavailable: its engine, or for an `.onnx` or `.engine` the package `onnx`, is not installed.
        BackendError: the engine rejects the file, or TensorRT cannot build a second engine.
    """
    assert artifact.spec.artifact is not None  # `artifact.load` makes sure of it
    size = artifact.spec.artifact.batch
    if artifact.path.suffix != ".tflite":  # whose batch is fixed
        size = min(size, _MAX_CARRIED)
    quantised = artifact.spec.output.quantisation is not None
    comparison = _Comparison(graph)
    shipped_noise = _Noise()
    copy_noise = _Noise()
    label = f"comparing the layers of {artifact.path.name}"
    with closing(open_backend(artifact)) as shipped, probing(artifact, graph, image) as probe:
        for chunk in chunked(progress((entry.load() for entry in entries), len(entries), label), size):
            pixels = preprocess(chunk, artifact.spec.input)
            expected, copied = comparison.add(preprocess(chunk, image), _values(probe, pixels, size))
            if quantised:  # the backend scales the sums to 1, too
                copied = copied / copied.sum(axis=-1, keepdims=True)
            probabilities = shipped.infer(pixels)
            shipped_noise.add(expected, probabilities)
            copy_noise.add(probabilities, copied)
    return Drift(
        layers=comparison.layers,
        missing=comparison.missing,
        images=len(entries),
        shipped_snr_db=shipped_noise.snr_db,
        copy_snr_db=copy_noise.snr_db,
        fused=artifact.path.suffix != ".engine",
    )


def _values(probe: Probe, batch: Array, size: int) -> dict[str, Array]:
    """Return the artifact's values for a batch, which is filled up to the size that the artifact takes."""
    places = np.resize(np.arange(len(batch)), size)
    return {name: value[: len(batch)] for name, value in probe(batch[places]).items()}


class _Comparison:
    """A comparison of all nodes of a graph over all batches that were added."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._drift_noise: dict[str, _Noise] = {}
        self._own_noise: dict[str, _Noise] = {}
        self._end_noise: dict[str, _Noise] = {}
        self._images_to_carry = max(1, min(_MAX_CARRIED, _MAX_RUNS // max(len(graph.nodes), 1)))

    def add(self, batch: Array, values: Mapping[str, Array]) -> tuple[Array, Array]:
        """Compare a batch.

        Args:
            batch: images as the graph takes them.
            values: node → the artifact's value of it, for those that have a tensor.

        Returns:
            The oracle's probabilities and the artifact's.
        """
        expected = {INPUT: batch}
        actual = {INPUT: batch}
        own_noise: dict[str, Array] = {}
        with np.errstate(all="ignore"):  # a faulty layer may give values that are not finite
            for node in self._graph.nodes:
                name = node.name
                expected[name] = oracle.evaluate(node, [expected[taken] for taken in node.inputs])
                noiseless = oracle.evaluate(node, [actual[taken] for taken in node.inputs])
                actual[name] = values.get(name, noiseless)
                if name in values:
                    shape = actual[name].shape
                    _noise_of(self._drift_noise, name).add(np.broadcast_to(expected[name], shape), actual[name])
                    _noise_of(self._own_noise, name).add(np.broadcast_to(noiseless, shape), actual[name])
                    own_noise[name] = actual[name] - noiseless
            if self._images_to_carry:
                carried = min(self._images_to_carry, len(batch))
                self._carry({name: value[:carried] for name, value in expected.items()}, own_noise, carried)
                self._images_to_carry -= carried
        output = self._graph.output
        return expected[output], actual[output]

    def _carry(self, expected: Mapping[str, Array], own_noise: Mapping[str, Array], images: int) -> None:
        """Add the noise of each node to its correct value, and measure the effect on the probabilities."""
        right_end = expected[self._graph.output]
        for name, noise in own_noise.items():
            noisy_end = right_end
            if noise.any():  # nodes that only move values add none
                unchanged = _independent(self._graph, name, expected)
                noisy_end = oracle.resume(self._graph, {**unchanged, name: expected[name] + noise[:images]})
            _noise_of(self._end_noise, name).add(right_end, noisy_end)

    @property
    def layers(self) -> tuple[LayerDrift, ...]:
        """The layers that were compared, in the graph's order."""
        return tuple(self._layer(node) for node in self._graph.nodes if node.name in self._drift_noise)

    def _layer(self, node: Node) -> LayerDrift:
        drift = self._drift_noise[node.name]
        return LayerDrift(
            name=node.name,
            kind=node.kind,
            snr_db=drift.snr_db,
            own_snr_db=self._own_noise[node.name].snr_db,
            end_snr_db=self._end_noise[node.name].snr_db,
            largest=drift.largest,
            mean=drift.mean,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Nodes that have no value in the artifact."""
        return tuple(node.name for node in computed(self._graph) if node.name not in self._drift_noise)


def _noise_of(noises: dict[str, _Noise], name: str) -> _Noise:
    return noises.setdefault(name, _Noise())


def _independent(graph: Graph, name: str, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the values that do not depend on the value of a node."""
    dependent = {name}
    for node in graph.nodes:
        if not dependent.isdisjoint(node.inputs):
            dependent.add(node.name)
    return {other: value for other, value in values.items() if other not in dependent}


def worst(
    datasets: Sequence[Dataset], reference: Sequence[Readings], artifact: Sequence[Readings], count: int
) -> list[Departure]:
    """Return the images on which an artifact departs most: those with another text first, then by SNR."""
    departures = []
    for dataset, right, read in zip(datasets, reference, artifact, strict=True):
        for index, entry in enumerate(dataset):
            noise = _Noise()
            noise.add(right.probabilities[index], read.probabilities[index])
            departures.append(Departure(entry.path, noise.snr_db, right.labels[index], read.labels[index]))
    departures.sort(key=lambda departure: (departure.reference == departure.artifact, departure.snr_db))
    return departures[:count]


def worst_table(departures: Sequence[Departure], alphabet: Alphabet) -> list[str]:
    """Return a table in lines: a title, and a row for each image."""
    lines = ["  furthest from the trained model, SNR of the probabilities:"]
    for departure in departures:
        reference = alphabet.read(departure.reference)
        texts = f"both {reference!r}"
        if departure.reference != departure.artifact:
            texts = f"trained model {reference!r}, artifact {alphabet.read(departure.artifact)!r}"
        lines.append(f"  {_decibels(departure.snr_db):>7} dB  {departure.path}: {texts}")
    return lines


def _decibels(value: float) -> str:
    return "exact" if value == np.inf else f"{value:.1f}"


class _Noise:
    """Signal and noise over all elements that were added."""

    def __init__(self) -> None:
        self.largest = 0.0
        self._signal_energy = 0.0
        self._noise_energy = 0.0
        self._distance = 0.0
        self._count = 0

    def add(self, expected: Array, actual: Array) -> None:
        """Add the elements whose expected value is finite; the others cannot be compared."""
        finite = np.isfinite(expected)
        signal = expected[finite].astype(np.float64)
        distance = np.nan_to_num(np.abs(actual[finite] - signal), nan=np.inf, posinf=np.inf)
        self._signal_energy += float(np.square(signal).sum())
        self._noise_energy += float(np.square(distance).sum())
        self._distance += float(distance.sum())
        self._count += distance.size
        self.largest = max(self.largest, float(distance.max(initial=0.0)))

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio in decibels."""
        if self._noise_energy == 0:
            return np.inf
        with np.errstate(divide="ignore"):
            return float(10 * np.log10(self._signal_energy / self._noise_energy))

    @property
    def mean(self) -> float:
        """Mean |actual - expected|."""
        return self._distance / max(self._count, 1)
