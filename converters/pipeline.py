"""trained model → verified artifact: the order of things, for the commands and for whoever calls it from Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.backends import open_backend
from edge_crnn.ctc import Grammar
from edge_crnn.dataset import Dataset, chunked, content_hash, find_images, load_labelled, refuse_overlap, refuse_repeats
from edge_crnn.errors import (
    ArtifactError,
    BackendError,
    ConversionError,
    DatasetError,
    EdgeCrnnError,
    InputError,
    ModelSpecError,
    VerificationError,
)
from edge_crnn.files import sha256
from edge_crnn.images import load_image
from edge_crnn.model.artifact import Artifact, load_sidecar
from edge_crnn.model.spec import Calibration, ModelSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import activity, progress

from .artifact import check_spec, make_onnx, make_tflite
from .graph.graph import Graph, Ranges
from .graph.half import refuse_values
from .graph.ranges import calibrate
from .recipe import Recipe
from .reference.seeds import seed
from .reference.tensorflow import TensorFlowReference
from .trained.keras.custom import load_layers
from .trained.keras.model import Declarations, Ends, Network, load_network
from .trained.keras.weights import Structure, structure_of
from .trained.tf1.checkpoint import find_checkpoint
from .trained.tf1.model import load_tf1_graph
from .verify.faults import refuse_company, refuse_other_alphabet, refuse_other_ranges
from .verify.gate import Candidate, Gate, Readings, compare, read_all

_CALIBRATION_BATCH = 8
_HALF_IMAGES = 32
_ROUNDS, _PER_ROUND = 7, 10


@dataclass(frozen=True)
class Source:
    """A trained model: its file (a checkpoint's index), what it says about itself, and its folded graph."""

    path: Path
    spec: ModelSpec
    graph: Graph
    sha256: str
    network: Network
    """What the file holds; its graph is not folded."""
    structure: Structure | None = None
    """The network of a file of weights alone."""
    classes: Mapping[str, Any] = field(default_factory=dict)
    """Keras classes of the user's own layers, by name."""


def open_source(
    path: Path,
    spec: ModelSpec | None = None,
    *,
    architecture: str | None = None,
    recurrent_activation: str | None = None,
    layers: Path | None = None,
) -> Source:
    """Read a trained model; its spec is the one given, or stands beside it.

    Args:
        path: of the model.
        spec: in place of the one beside it.
        architecture: for a file of weights alone, the network that they are of.
        recurrent_activation: for a file of weights alone, the gates' function.
        layers: a Python file of the user's own that converts further layers (see `trained.keras.custom`).

    Raises:
        ModelFileError: it is none that can be converted.
        ModelSpecError: no spec, or not of this network.
        InputError: a file of weights alone is not told enough about.
    """
    index = find_checkpoint(path)
    structure = None
    if architecture is not None or recurrent_activation is not None:
        if index is not None:
            raise InputError(f"{index}: a checkpoint's variables tell its network; leave out --architecture")
        spec = spec or load_sidecar(path)
        structure = structure_of(architecture, recurrent_activation, spec, seed)
    custom, classes = ({}, {}) if layers is None else load_layers(layers)
    if index is None:
        try:
            spec = spec or load_sidecar(path)
        except ModelSpecError:
            load_network(path, structure)  # what is wrong with the model itself is told first
            raise
        network = load_network(path, structure, Declarations(spec.input.shape, spec.lambdas or {}, custom))
    else:  # which does not tell the size of its images
        path, spec = index, spec or load_sidecar(index)
        network = Network(load_tf1_graph(index, spec.input.shape), ends=Ends(softmax=True))
    graph = network.graph.folded()
    check_spec(spec, graph)
    return Source(path, spec, graph, sha256(path.read_bytes()), network, structure, classes)


def within(source: Source, grammar: str | None) -> Source:
    """The same model, whose artifacts read what a grammar allows.

    Raises:
        InputError: the grammar does not fit the model.
    """
    if grammar is None:
        return source
    spec = source.spec
    compiled = Grammar.compile(grammar, spec.alphabet)
    compiled.check_fits(spec.output.classes, spec.blank, [spec.output.steps - spec.skip_steps])
    return replace(source, spec=replace(spec, decoder=replace(spec.decoder, method="beam", grammar=grammar)))


def calibrated(source: Source, folder: Path, verification: Sequence[Dataset]) -> tuple[Ranges, Calibration]:
    """Ranges of the graph's values on all images of a folder, and which images they were.

    Raises:
        DatasetError: the folder is empty, or shares an image with a verification set.
        ImageError: a file is no image.
    """
    paths = find_images(folder)
    refuse_overlap(paths, [path for dataset in verification for path in dataset.paths])
    consumed = 0

    def batches() -> Iterator[npt.NDArray[np.float32]]:
        nonlocal consumed
        for chunk in chunked(progress(paths, len(paths), "calibrating"), _CALIBRATION_BATCH):
            yield preprocess([load_image(path) for path in chunk], source.spec.input)
            consumed += len(chunk)

    ranges = calibrate(source.graph, batches())
    if consumed != len(paths):
        raise DatasetError(f"{folder}: {consumed} of {len(paths)} images were used; this is a defect of edge-crnn")
    return ranges, Calibration(consumed, content_hash(paths))


def check_calibration(artifact: Artifact, source: Source, folder: Path) -> None:
    """Make sure that an artifact was calibrated with the images of a folder: by its word, and by its values' ranges.

    Raises:
        InputError: its recipe takes no calibration images.
        ArtifactError: it was calibrated with others, or its ranges are not those that these images give.
        DatasetError: the folder is empty.
        ImageError: a file is no image.
    """
    said = artifact.spec.artifact and artifact.spec.artifact.calibration
    if not said:
        raise InputError(f"{artifact.path.name} was made without calibration images; leave out --calibration")
    ranges, found = calibrated(source, folder, [])
    if found != said:
        raise ArtifactError(
            f"{artifact.path.name} says that it was calibrated with {said.images} images, SHA-256 {said.sha256[:12]}…;"
            f" {folder} holds {found.images}, {found.sha256[:12]}…: name those images, or convert again with these"
        )
    refuse_other_ranges(artifact, source.graph, ranges, folder)


def reference_readings(source: Source, datasets: Sequence[Dataset]) -> tuple[Readings, ...]:
    """What the trained model itself reads, run by Keras, or a checkpoint by TensorFlow.

    Raises:
        VerificationError: its spec has the symbols in another order than it was trained with.
    """
    from .reference import keras as keras_reference
    from .reference import tf1 as tf1_reference

    with activity("starting TensorFlow"):
        if find_checkpoint(source.path) is None:
            reference: TensorFlowReference = keras_reference.KerasReference(
                source.path, source.structure, source.network, lambdas=source.spec.lambdas, classes=source.classes
            )
        else:
            reference = tf1_reference.Tf1Reference(source.path, source.spec.input.shape)
    try:
        task = f"reading with {reference.facts.name}"
        readings = tuple(read_all(reference, source.spec, each, task) for each in datasets)
    finally:
        reference.close()
    refuse_other_alphabet(source.spec, datasets, readings)
    return readings


def artifact_readings(artifact: Artifact, datasets: Sequence[Dataset]) -> tuple[Readings, ...]:
    """What an artifact reads.

    Raises:
        VerificationError: it gives no probabilities, or those of an image depend on the images beside it.
    """
    name = artifact.path.name
    backend = open_backend(artifact)
    try:
        readings = tuple(read_all(backend, artifact.spec, each, f"reading with {name}") for each in datasets)
        refuse_company(backend, artifact.spec, datasets[0], readings[0], name)
        return readings
    finally:
        backend.close()


def convert(
    source: Source,
    target: Path,
    recipe: Recipe,
    datasets: Sequence[Dataset],
    reference: Sequence[Readings],
    gate: Gate,
    calibration: tuple[Ranges, Calibration] | None,
    *,
    batch: int = 1,
    takes_pixels: bool = True,
) -> Candidate:
    """Convert by one recipe and verify; nothing is written.

    The target's suffix tells its format; `calibration` and `batch` are for a `.tflite`.

    Raises:
        ConversionError: the conversion is not possible, or what it gives could not be shipped.
        ArtifactError: int8 values have not the ranges of the calibration images.
        VerificationError: as `artifact_readings`.
    """
    what = target, source.graph, source.spec, recipe, source.sha256
    if target.suffix == ".onnx":
        if "half" in (recipe.stack, recipe.head):
            refuse_values(source.graph, recipe, _ranges(source, datasets))
        artifact = make_onnx(*what, takes_pixels=takes_pixels)
    else:
        ranges, images = calibration or (None, None)
        artifact = make_tflite(*what, ranges, images, batch=batch, takes_pixels=takes_pixels)
        refuse_other_ranges(artifact, source.graph, ranges or {}, "calibration")
    readings = artifact_readings(artifact, datasets)
    return Candidate(artifact, readings, compare(datasets, reference, readings, gate), recipe)


def attempts(
    recipes: Sequence[Recipe], make: Callable[[Recipe], Candidate], failed: Callable[[Recipe, EdgeCrnnError], None]
) -> list[Candidate]:
    """What `make` gives by each recipe; where a recipe gives nothing, `failed` hears why.

    Raises:
        ConversionError, BackendError, VerificationError: no recipe gives a candidate; of the last one.
    """
    candidates: list[Candidate] = []
    for recipe in recipes:
        try:
            candidates.append(make(recipe))
        except (ConversionError, BackendError, VerificationError) as error:
            if recipe is recipes[-1] and not candidates:
                raise
            failed(recipe, error)
    return candidates


def _ranges(source: Source, datasets: Sequence[Dataset]) -> Ranges:
    """Of the graph's values on some images from all over the verification sets."""
    entries = [entry for dataset in datasets for entry in dataset.entries]
    some = entries[:: -(-len(entries) // _HALF_IMAGES)]
    batches = chunked(progress(some, len(some), "looking for values beyond float16"), _CALIBRATION_BATCH)
    return calibrate(
        source.graph, (preprocess([entry.load() for entry in batch], source.spec.input) for batch in batches)
    )


def latencies_ms(candidates: Sequence[Candidate], dataset: Dataset) -> list[float]:
    """Inference of one image in ms, one thread, on this machine: the median of interleaved rounds."""
    backends = [open_backend(each.artifact) for each in candidates]
    images = [entry.load() for entry in dataset.entries[:_PER_ROUND]]
    inputs = [[preprocess([image], each.artifact.spec.input) for image in images] for each in candidates]
    medians: list[list[float]] = [[] for _ in candidates]
    for round_ in range(_ROUNDS + 1):
        for backend, batches, found in zip(backends, inputs, medians, strict=True):
            times = []
            for batch in batches:
                started = time.perf_counter_ns()
                backend.infer(batch)
                times.append((time.perf_counter_ns() - started) / 1e6)
            if round_:  # the first warms up
                found.append(float(np.median(times)))
    for backend in backends:
        backend.close()
    return [float(np.median(found)) for found in medians]


def choose(candidates: Sequence[Candidate], speeds: Sequence[float], strict: bool) -> Candidate:
    """The fastest candidate that passes; the one that agrees best where none does.

    Args:
        candidates: at least one.
        speeds: time of each.
        strict: whether too few images to show it is a failure, too.
    """
    passing = [pair for pair in zip(speeds, candidates, strict=True) if pair[1].verification.passes(strict)]
    if not passing:
        return max(candidates, key=lambda each: each.verification.parity.agreement)
    return min(passing, key=lambda pair: pair[0])[1]


def load_sets(folders: Sequence[Path], spec: ModelSpec) -> list[Dataset]:
    """The labelled folders to verify with.

    Raises:
        DatasetError: one is empty, has a label outside the alphabet, or an image is in them twice.
    """
    datasets = [load_labelled(folder, spec.alphabet) for folder in folders]
    refuse_repeats(path for dataset in datasets for path in dataset.paths)
    return datasets


def check_same_network(artifact: Artifact, source: Source) -> None:
    """Refuse to compare an artifact with a trained model that sees or spells otherwise.

    Raises:
        ModelSpecError: alphabet, blank, steps, classes, or what is made of an image differ.
    """
    theirs, ours = _sees_and_spells(source.spec), _sees_and_spells(artifact.spec)
    differ = [name for name, value in theirs.items() if ours[name] != value]
    if differ:
        told = "; ".join(f"{name} {ours[name]!r}, there {theirs[name]!r}" for name in differ)
        raise ModelSpecError(
            f"{artifact.path}: its alphabet or its images are not those of {source.path} ({told}); name the model that"
            " it was converted from, or convert it again"
        )


def _sees_and_spells(spec: ModelSpec) -> dict[str, object]:
    image = spec.input
    names = ("width", "height", "colour", "resize", "padding", "scale", "offset")
    return {
        "symbols": " ".join(spec.symbols),
        "blank": spec.blank,
        "skip_steps": spec.skip_steps,
        "steps": spec.output.steps,
        "classes": spec.output.classes,
        **{name: getattr(image, name) for name in names},
    }


def refuse_calibration_images(artifact: Artifact, datasets: Sequence[Dataset]) -> None:
    """Refuse to verify an artifact with the very images that it was calibrated with.

    Raises:
        DatasetError: a dataset is its calibration set.
    """
    calibration = artifact.spec.artifact and artifact.spec.artifact.calibration
    for dataset in datasets:
        if calibration and dataset.sha256 == calibration.sha256:
            raise DatasetError(
                f"{dataset.folder}: {artifact.path.name} was calibrated with these images; verify with others"
            )
