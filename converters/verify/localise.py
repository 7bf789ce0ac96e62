"""Where an artifact goes wrong: each layer's value in the artifact against the oracle's, matched by the graph's names.

The values are those of a copy in which every layer's tensor is an output, run by the engine that ships; TensorRT fuses
less in it (see `probes`). How far the copy's probabilities are from the artifact's own tells what that changes.

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

from collections.abc import Sequence
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
from ..graph.layers import Array, Graph
from .gate import Readings
from .probes import probing

_CARRIED = 8
"""Images on which each layer's noise is carried to the end: as many layers, as many runs of the rest of the graph."""


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
    drifts: dict[str, _Sum] = {}
    owns: dict[str, _Sum] = {}
    carried: dict[str, _Sum] = {}
    ends, copies = _Sum(), _Sum()
    seen = 0
    label = f"looking into {artifact.path.name}"
    with closing(open_backend(artifact)) as shipped, probing(artifact, graph, image) as probe:
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
            probabilities = shipped.infer(taken)
            ends.add(expected, probabilities)
            copies.add(probabilities, given / given.sum(axis=-1, keepdims=True) if quantised else given)
    layers = tuple(
        LayerDrift(
            each.name, type(each).__name__.lower(), drifts[each.name].snr_db, owns[each.name].snr_db,
            carried[each.name].snr_db, drifts[each.name].largest, drifts[each.name].mean,
        )
        for each in graph.layers
        if each.name in drifts
    )  # fmt: skip
    missing = tuple(each.name for each in graph.layers if each.name not in drifts)
    return Drift(layers, missing, len(entries), ends.snr_db, copies.snr_db, artifact.path.suffix != ".engine")


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
