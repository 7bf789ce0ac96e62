"""trained model → verified artifact: the order of things, for the commands and for whoever calls it from Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_crnn.backends import open_backend
from edge_crnn.ctc import Grammar
from edge_crnn.dataset import (
    DEFAULT_RULES,
    Dataset,
    LabelRules,
    chunked,
    content_hash,
    content_hashes,
    find_images,
    load_labelled,
    load_unlabelled,
    refuse_overlap,
    refuse_repeats,
)
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
from edge_crnn.files import write_atomically
from edge_crnn.images import load_image
from edge_crnn.model.artifact import Artifact, save, sidecar
from edge_crnn.model.spec import Calibration, ModelSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import activity, progress
from edge_crnn.reader.decoder import decoder_for

from .artifact import make_onnx, make_tflite
from .graph.graph import Ranges
from .graph.half import refuse_values
from .graph.ranges import calibrate
from .recipe import Recipe
from .reference import cache
from .reference.tensorflow import TensorFlowReference
from .source import Source as Source
from .source import open_source as open_source
from .trained.tf1.checkpoint import find_checkpoint
from .verify.faults import refuse_company, refuse_other_alphabet, refuse_other_ranges
from .verify.gate import Candidate, Gate, Readings, compare, read_all
from .verify.pictures import Pictures, compare_pictures
from .verify.sets import set_aside

_CALIBRATION_BATCH = 8
_HALF_IMAGES = 32
_ROUNDS, _PER_ROUND = 7, 10


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
    return replace(source, spec=replace(spec, decoder=decoder_for(spec, grammar=grammar)))


def calibrated(source: Source, folder: Path, verification: Sequence[Dataset]) -> tuple[Ranges, Calibration]:
    """Ranges of the graph's values on all images of a folder, and which images they were.

    Raises:
        DatasetError: the folder is empty, or shares an image with a verification set.
        ImageError: a file is no image.
    """
    paths = find_images(folder)
    refuse_overlap(paths, [path for dataset in verification for path in dataset.paths])
    return calibrated_with(source, paths)


def calibrated_with(source: Source, paths: Sequence[Path]) -> tuple[Ranges, Calibration]:
    """Ranges of the graph's values on images, and which images they were.

    Raises:
        ImageError: a file is no image.
    """
    consumed = 0

    def batches() -> Iterator[npt.NDArray[np.float32]]:
        nonlocal consumed
        for chunk in chunked(progress(paths, len(paths), "calibrating"), _CALIBRATION_BATCH):
            yield preprocess([load_image(path) for path in chunk], source.spec.input)
            consumed += len(chunk)

    ranges = calibrate(source.graph, batches())
    if consumed != len(paths):
        raise DatasetError(f"{consumed} of {len(paths)} images were used; this is a defect of edge-crnn")
    return ranges, Calibration(consumed, content_hash(paths))


def calibrated_for(
    source: Source, datasets: list[Dataset], folder: Path | None
) -> tuple[list[Dataset], tuple[Ranges, Calibration]]:
    """Measure ranges on the images of a folder, else on some of the datasets.

    Returns:
        The datasets that are left to verify with; the ranges, and which images they were.

    Raises:
        DatasetError: as `calibrated`, or there are too few images for both.
        ImageError: a file is no image.
    """
    if folder is None:
        kept, aside = set_aside(datasets)
        return kept, calibrated_with(source, aside)
    others = [dataset for dataset in datasets if not isinstance(dataset, Pictures)]
    return datasets, calibrated(source, folder, others)


def write(target: Path, chosen: Candidate, source: Source) -> Path | None:
    """Write an artifact with its verdict, and the spec beside the trained model if it is not there yet.

    Returns:
        The file of that spec; None: it was there.

    Raises:
        OutputError: a file cannot be written.
    """
    save(target, chosen.artifact.payload, chosen.verified.spec)
    if source.unwritten is None:
        return None
    beside = sidecar(source.path)
    write_atomically(beside, source.unwritten.encode())
    return beside


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


def reference_readings(source: Source, datasets: Sequence[Dataset], *, cached: bool = False) -> tuple[Readings, ...]:
    """What the trained model itself reads, run by Keras, or a checkpoint by TensorFlow.

    Args:
        source: the trained model.
        datasets: images.
        cached: take from the cache what earlier runs have read, and keep there what is read now; TensorFlow is not
            started where all is there. Readings by Keras classes of the user's own are never kept: what their code
            depends on is not known.

    Raises:
        VerificationError: its spec has the symbols in another order than it was trained with.
    """
    keys = [_key(source, each) if cached else None for each in datasets]
    shapes = [(len(each), *source.network.graph.output_shape) for each in datasets]
    kept = [cache.find(key, shape) if key else None for key, shape in zip(keys, shapes, strict=True)]
    missing = [each for each, found in zip(datasets, kept, strict=True) if found is None]
    read = iter(_read_by_reference(source, missing) if missing else ())
    readings = tuple(next(read) if found is None else Readings.of(found, source.spec) for found in kept)
    for key, found, each in zip(keys, kept, readings, strict=True):
        if key is not None and found is None:
            cache.keep(key, each.probabilities)
    refuse_other_alphabet(source.spec, datasets, readings)
    return readings


def _key(source: Source, dataset: Dataset) -> str | None:
    """The name of a dataset's readings in the cache; None: they are not kept."""
    images = dataset.digests if isinstance(dataset, Pictures) else list(content_hashes(dataset.paths))
    own_code = source.classes or source.spec.input.function is not None  # whose imports no key covers
    if own_code or len(images) < len(dataset):
        return None
    spec = source.spec
    return cache.key(source.path, source.network, source.structure, spec.lambdas or {}, spec.input, images)


def _read_by_reference(source: Source, datasets: Sequence[Dataset]) -> tuple[Readings, ...]:
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
        return tuple(read_all(reference, source.spec, each, task) for each in datasets)
    finally:
        reference.close()


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

    The target's suffix tells its format; `calibration` and `batch` are for a `.tflite`. Where the only dataset is
    `Pictures`, probabilities are compared, and the verdict is `unverified`.

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
    if isinstance(datasets[0], Pictures):
        verification = compare_pictures(target.name, reference, readings, recipe, gate)
    else:
        verification = compare(datasets, reference, readings, gate)
    return Candidate(artifact, readings, verification, recipe)


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
    """Ranges of the graph's values on some images from all over the verification sets."""
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


def load_sets(
    labelled: Sequence[Path], spec: ModelSpec, rules: LabelRules = DEFAULT_RULES, unlabelled: Sequence[Path] = ()
) -> list[Dataset]:
    """The folders to verify with.

    Args:
        labelled: folders of images with labels.
        spec: of the trained model.
        rules: where the labels are.
        unlabelled: folders of images whose labels, if there are any, do not count.

    Raises:
        DatasetError: one is empty, has a label outside the alphabet, or an image is in them twice.
    """
    datasets = [load_labelled(folder, spec.alphabet, rules) for folder in labelled]
    datasets += map(load_unlabelled, unlabelled)
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
