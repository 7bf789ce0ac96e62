"""Turns a trained model into a verified artifact, step by step; the commands and the Python functions call these."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
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
from edge_crnn.errors import ArtifactError, DatasetError, InputError, ModelSpecError
from edge_crnn.files import write_atomically
from edge_crnn.images import load_image
from edge_crnn.model.artifact import Artifact, save, sidecar
from edge_crnn.model.spec import Calibration, ModelSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import activity, note, progress
from edge_crnn.reader.decoder import decoder_for

from .artifact import make_onnx, make_tflite
from .graph.graph import Ranges
from .graph.half import refuse_values
from .graph.ranges import calibrate
from .recipe import Recipe
from .reference import cache
from .reference.tensorflow import TensorFlowReference
from .source import Source as Source
from .source import differences
from .source import open_source as open_source
from .trained.tf1.checkpoint import find_checkpoint
from .verify.faults import refuse_company, refuse_other_alphabet, refuse_other_ranges
from .verify.gate import Candidate, Gate, Readings, compare, read_all
from .verify.seeded import ImagesInMemory, compare_seeded
from .verify.sets import set_aside

_CALIBRATION_BATCH = 8
_HALF_IMAGES = 32


def within(source: Source, grammar: str | None) -> Source:
    """Return the model with a grammar that its artifacts read within by default.

    Raises:
        InputError: the grammar does not fit the model.
    """
    if grammar is None:
        return source
    spec = source.spec
    compiled = Grammar.compile(grammar, spec.alphabet)
    compiled.check_fits(spec.output.classes, spec.blank, [spec.output.steps - spec.skip_steps])
    return replace(source, spec=replace(spec, decoder=decoder_for(spec, grammar=grammar)))


def calibrated(
    source: Source, folder: Path, verification: Sequence[Dataset], recursive: bool = False
) -> tuple[Ranges, Calibration]:
    """Measure the ranges of the graph's values on all images of a folder, and describe the images.

    A note on stderr warns of files with the same content.

    Raises:
        DatasetError: the folder is empty, or has an image of a verification set.
        ImageError: a file is not an image.
    """
    paths = find_images(folder, recursive)
    refuse_overlap(paths, [path for dataset in verification for path in dataset.paths])
    different = len(content_hashes(paths))
    if different < len(paths):
        note(
            f"{folder}: found {len(paths):,} calibration images, of which only {different:,} differ; copies add nothing"
            " to the ranges of int8, so calibrate with different images"
        )
    return calibrated_with(source, paths)


def calibrated_with(source: Source, paths: Sequence[Path]) -> tuple[Ranges, Calibration]:
    """Measure the ranges of the graph's values on images, and describe the images.

    Raises:
        ImageError: a file is not an image.
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
    source: Source, recipes: Sequence[Recipe], datasets: list[Dataset], folder: Path | None, recursive: bool = False
) -> tuple[list[Dataset], tuple[Ranges, Calibration] | None]:
    """Measure ranges on the images of a folder, or if there is none, on some images of the datasets.

    If no recipe needs ranges, nothing is measured, and a note on stderr says that the folder is not used.

    Returns:
        The datasets that are left to verify with; the ranges and a description of the calibration images, or None.

    Raises:
        DatasetError: as `calibrated`, or there are too few images for both.
        ImageError: a file is not an image.
    """
    if not any(recipe.needs_calibration for recipe in recipes):
        if folder is not None:
            names = " and ".join(recipe.name for recipe in recipes)
            note(f"recipe {names}: needs no calibration images, so these are not used: {folder}")
        return datasets, None
    if folder is None:
        kept, aside = set_aside(datasets)
        return kept, calibrated_with(source, aside)
    others = [dataset for dataset in datasets if not isinstance(dataset, ImagesInMemory)]
    return datasets, calibrated(source, folder, others, recursive)


def write(target: Path, chosen: Candidate, source: Source) -> Path | None:
    """Write an artifact with its verdict, and the spec beside the trained model if it does not exist yet.

    Returns:
        The path of that spec; None if it existed.

    Raises:
        OutputError: a file cannot be written.
    """
    save(target, chosen.artifact.payload, chosen.verified.spec)
    if source.unwritten is None:
        return None
    beside = sidecar(source.path)
    write_atomically(beside, source.unwritten.encode())
    return beside


def check_calibration(artifact: Artifact, source: Source, folder: Path, recursive: bool = False) -> None:
    """Check that an artifact was calibrated with the images of a folder, by its spec and by the ranges of its values.

    Raises:
        InputError: its recipe needs no calibration images.
        ArtifactError: it was calibrated with other images, or its ranges are not those of these images.
        DatasetError: the folder is empty.
        ImageError: a file is not an image.
    """
    stated = artifact.spec.artifact and artifact.spec.artifact.calibration
    if not stated:
        raise InputError(f"{artifact.path.name} was made without calibration images; leave out --calibration")
    ranges, actual = calibrated(source, folder, [], recursive)
    if actual != stated:
        raise ArtifactError(
            f"{artifact.path.name} says that it was calibrated with {stated.images} images, SHA-256"
            f" {stated.sha256[:12]}…; {folder} holds {actual.images}, {actual.sha256[:12]}…: name those images, or"
            " convert again with these"
        )
    refuse_other_ranges(artifact, source.graph, ranges, folder)


def reference_readings(source: Source, datasets: Sequence[Dataset], *, cached: bool = False) -> tuple[Readings, ...]:
    """Read images with the trained model itself, run by Keras, or for a checkpoint by TensorFlow.

    For a slimmed model whose teacher is open, the teacher reads them.

    Args:
        source: the trained model.
        datasets: the images.
        cached: use the readings of earlier runs from the cache, and store new ones there; TensorFlow starts only if a
            reading is missing. Readings by a user's own Keras classes are never stored, because it is unknown what
            their code depends on.

    Raises:
        VerificationError: the spec has the symbols in another order than the training.
    """
    source = source.reference
    keys = [_key(source, dataset) if cached else None for dataset in datasets]
    shapes = [(len(dataset), *source.network.graph.output_shape) for dataset in datasets]
    stored = [cache.find(key, shape) if key else None for key, shape in zip(keys, shapes, strict=True)]
    missing = [dataset for dataset, hit in zip(datasets, stored, strict=True) if hit is None]
    fresh = iter(_read_by_reference(source, missing) if missing else ())
    readings = tuple(next(fresh) if hit is None else Readings.of(hit, source.spec) for hit in stored)
    for key, hit, reading in zip(keys, stored, readings, strict=True):
        if key is not None and hit is None:
            cache.keep(key, reading.probabilities)
    refuse_other_alphabet(source.spec, datasets, readings)
    return readings


def _key(source: Source, dataset: Dataset) -> str | None:
    """Return the key of a dataset's readings in the cache; None if they must not be stored."""
    images = dataset.digests if isinstance(dataset, ImagesInMemory) else list(content_hashes(dataset.paths))
    runs_user_code = source.classes or source.spec.input.function is not None  # whose imports no key covers
    if runs_user_code or len(images) < len(dataset):
        return None
    spec = source.spec
    with contextlib.suppress(OSError):  # the cache is optional: what cannot be read now is an error where it is needed
        return cache.key(source.path, source.network, source.structure, spec.lambdas or {}, spec.input, images)
    return None


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
        return tuple(read_all(reference, source.spec, dataset, task) for dataset in datasets)
    finally:
        reference.close()


def artifact_readings(artifact: Artifact, datasets: Sequence[Dataset]) -> tuple[Readings, ...]:
    """Read images with an artifact.

    Raises:
        VerificationError: it gives no probabilities, or those of an image depend on other images.
    """
    name = artifact.path.name
    backend = open_backend(artifact)
    try:
        readings = tuple(read_all(backend, artifact.spec, dataset, f"reading with {name}") for dataset in datasets)
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

    The target's suffix tells its format; `calibration` and `batch` are for a `.tflite`. If the only dataset is
    `ImagesInMemory`, probabilities are compared, and the verdict is `unverified`.

    Raises:
        ConversionError: the conversion is not possible, or its result cannot be shipped.
        ArtifactError: int8 values do not have the ranges of the calibration images.
        VerificationError: as `artifact_readings`.
    """
    network = target, source.graph, source.spec, recipe, source.sha256
    if target.suffix == ".onnx":
        if "half" in (recipe.stack, recipe.head):
            refuse_values(source.graph, recipe, _ranges(source, datasets))
        artifact = make_onnx(*network, takes_pixels=takes_pixels)
    else:
        ranges, images = calibration or (None, None)
        artifact = make_tflite(*network, ranges, images, batch=batch, takes_pixels=takes_pixels)
        refuse_other_ranges(artifact, source.graph, ranges or {}, "calibration")
    readings = artifact_readings(artifact, datasets)
    if isinstance(datasets[0], ImagesInMemory):
        verification = compare_seeded(target.name, reference, readings, recipe, gate)
    else:
        verification = compare(datasets, reference, readings, gate)
    return Candidate(artifact, readings, verification, recipe)


def _ranges(source: Source, datasets: Sequence[Dataset]) -> Ranges:
    """Measure the ranges of the graph's values on some images, evenly spread over the verification sets."""
    entries = [entry for dataset in datasets for entry in dataset.entries]
    sample = entries[:: -(-len(entries) // _HALF_IMAGES)]
    batches = chunked(progress(sample, len(sample), "looking for values beyond float16"), _CALIBRATION_BATCH)
    return calibrate(
        source.graph, (preprocess([entry.load() for entry in batch], source.spec.input) for batch in batches)
    )


def load_sets(
    labelled: Sequence[Path], spec: ModelSpec, rules: LabelRules = DEFAULT_RULES, unlabelled: Sequence[Path] = ()
) -> list[Dataset]:
    """Load the folders to verify with.

    Args:
        labelled: folders of images with labels.
        spec: the spec of the trained model.
        rules: rules for finding the labels.
        unlabelled: folders of images whose labels, if there are any, are ignored.

    Raises:
        DatasetError: a folder is empty or has a label that the network cannot write, or two of them share an image.
    """
    steps = spec.output.steps - spec.skip_steps
    datasets = [load_labelled(folder, spec.alphabet, rules, steps=steps) for folder in labelled]
    datasets += [load_unlabelled(folder, rules.recursive) for folder in unlabelled]
    refuse_repeats(path for dataset in datasets for path in dataset.paths)
    return datasets


def check_same_network(artifact: Artifact, source: Source) -> None:
    """Refuse to compare an artifact with a trained model that prepares images or spells texts differently.

    Raises:
        ModelSpecError: alphabet, blank, steps, classes or preprocessing differ.
    """
    if different := differences(artifact.spec, source.spec):
        raise ModelSpecError(
            f"{artifact.path}: its alphabet or its images are not those of {source.path} ({different}); name the model"
            " that it was converted from, or convert it again"
        )


def is_from(artifact: Artifact, source: Source) -> bool:
    """Return whether an artifact was converted from a trained model, or slimmed from it before it was converted."""
    facts = artifact.spec.artifact
    teacher = artifact.spec.teacher
    origins = {facts and facts.source_sha256, teacher and teacher.sha256}
    return facts is None or source.sha256 in origins


def refuse_calibration_images(artifact: Artifact, datasets: Sequence[Dataset]) -> None:
    """Refuse to verify an artifact with the images that it was calibrated with.

    Raises:
        DatasetError: a dataset is its calibration set.
    """
    calibration = artifact.spec.artifact and artifact.spec.artifact.calibration
    for dataset in datasets:
        if calibration and dataset.sha256 == calibration.sha256:
            raise DatasetError(
                f"{dataset.folder}: {artifact.path.name} was calibrated with these images; verify with others"
            )
