"""Slims a trained model: the smaller network is fitted to images, trained if asked for, and written with its spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.dataset import Dataset, Entry, chunked
from edge_crnn.errors import DatasetError, InputError, OutputError, VerificationError
from edge_crnn.files import require_place, sha256, write_atomically
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import ModelSpec, Teacher
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import note, progress, status
from edge_crnn.training.batches import Batch
from edge_crnn.training.batches import Source as Supply
from edge_crnn.training.history import Row, require_matplotlib

from ..artifact import make_tflite
from ..conventions.complete import essential
from ..graph.graph import Graph
from ..keras import save_keras, to_keras
from ..pipeline import artifact_readings, reference_readings
from ..recipe import RECIPES
from ..source import Source, open_source
from ..verify.gate import Readings
from .distil import STATE, Lessons, Plan, distil, mean_weighted_divergence
from .factor import Ranks
from .search import Trial, least_same, smallest
from .slim import ENOUGH_IMAGES, MIN_IMAGES, Slimmed, Slimmer
from .units import Places

SHARE = 0.15
"""Default share of the multiplications."""
FEWEST = MIN_IMAGES * 3 // 2
"""Fewest images to slim with: two thirds of them are fitted to."""
MOST = ENOUGH_IMAGES * 3 // 2
"""Default number of images, for a result without training within two minutes."""
CONFIDENT = 0.5
"""Least confidence of a text of the teacher that counts."""
_CHUNK = 32
_MOST_VALIDATED = 4096
"""Most images held back that judge every epoch, all of which are in memory."""
_TEACHING = "dynamic"
"""Recipe of the teacher's artifact in training. On plates, it takes a tenth of the time of float32, and its posteriors
diverge from those of float32 by 0.0007 nats an image, far less than a student's."""


@dataclass(frozen=True)
class Training:
    """The training of a student by its teacher's posteriors."""

    epochs: int
    supply: Callable[[Dataset], Supply]
    """Returns the images to train with: any but those of the data set, which are held back."""
    steps: int = Plan.steps
    """Batches per epoch."""
    learning_rate: float = Plan.learning_rate
    workers: int = 0
    resume: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    """Description of the images; a run is resumed only with the same images."""
    on_epoch: Callable[[Row], None] = lambda _: None
    """Called with the figures of every epoch."""


@dataclass(frozen=True)
class Student:
    """A slimmed model, and the comparison of its texts with its teacher's on images that it was not fitted to."""

    path: Path
    teacher: Teacher
    kept: Mapping[str, tuple[int, int]]
    """Group of channels or units → number that is kept, and number that the teacher has."""
    judged: int
    """Number of images that were held back from the fit and that the teacher reads."""
    same: int
    """Number of these images on which both read the same text."""
    ranks: Mapping[str, Ranks] = field(default_factory=dict)
    """Convolution that is factorised → the channels between its factors."""
    trials: tuple[Trial, ...] = ()
    """The networks that were tried to find the smallest one."""


def slim_model(
    source: Source,
    images: Dataset,
    target: Path,
    *,
    share: float = SHARE,
    lose: float | None = None,
    seed: int = 0,
    training: Training | None = None,
) -> Student:
    """Slim a trained model, and write the smaller one with its spec, both or neither.

    A third of the images is held back from the fit to compare the two models. An image counts there if the
    teacher reads some text with a confidence of at least 0.5; a note on stderr says how many do not.

    Args:
        source: the teacher.
        images: images like those that the model will read; labels are not used.
        target: the `.keras` file to write.
        share: multiplications of the smaller network, as a share of the teacher's.
        lose: instead of `share`, the percentage points of texts that may change; the smallest network is looked for,
            before any training.
        seed: decides which images are held back, and the random choices of the fit and of the training.
        training: how to train the smaller network; None: not at all. The log and the curve are kept in `run_folder`.

    Raises:
        InputError: the model was itself slimmed from another one, or the share cannot be reached; or the training
            diverges, or there is a run with other settings to resume.
        DatasetError: there are too few images, or the teacher reads too few of them.
        VerificationError: every smaller network changes more texts than `lose` allows.
        ImageError: an image cannot be read.
        OutputError: a file cannot be written, or there is a run that has not ended.
        BackendUnavailable: Matplotlib, which draws the curve of a training, is not installed.
    """
    if source.spec.teacher is not None:
        raise InputError(
            f"{source.path} is itself {source.spec.teacher.headline}; slim {source.spec.teacher.file} instead"
        )
    if len(images) < FEWEST:
        raise DatasetError(f"{len(images)} images, expected at least {FEWEST}; add images, or render some with --draw")
    if training is not None:
        _check_run(target, training.resume)
    (readings,) = reference_readings(source, [images], cached=True)
    fitted, held_back = _split(len(images), seed)
    judges = _Judges.of(source, images, readings, held_back)
    train = None
    if training is not None:
        supply = training.supply(replace(images, entries=tuple(images.entries[place] for place in held_back)))
        train = partial(_trained, training=training, supply=supply, folder=run_folder(target), seed=seed)
    prepared = _prepared([images.entries[place] for place in fitted], source.spec)
    trials: list[Trial] = []
    with status("slimming") as show:
        slimmer = Slimmer(source.graph, prepared, seed, show)
        if lose is None:
            slimmed = slimmer.slim(share)
        else:
            slimmed, trials = _smallest(slimmer, judges, lose)
    teacher = Teacher(source.path.name, source.sha256, slimmed.share)
    # The calibration of confidences and the meanings of Lambdas are those of the teacher alone.
    spec = replace(source.spec, teacher=teacher, lambdas=None, confidence=None, artifact=None, parity=None)
    if train is None:
        model = to_keras(slimmed.graph)
    else:
        model = train(source, slimmed, spec, judges, sha256(prepared.tobytes()))
    _write(target, model, spec)
    if train is not None:
        (run_folder(target) / STATE).unlink(missing_ok=True)
    (ours,) = reference_readings(open_source(target), [judges.images])
    return Student(
        target, teacher, slimmed.kept, len(judges.images), judges.count_same(ours), slimmed.ranks, tuple(trials)
    )


def run_folder(target: Path) -> Path:
    """Return the folder of a training: the log, the curve and, until the student is written, the state."""
    return target.with_suffix(".run")


def has_state(target: Path) -> bool:
    """Return whether a training of this student was interrupted after an epoch, so that it can be resumed."""
    return (run_folder(target) / STATE).exists()


def _check_run(target: Path, resume: bool) -> None:
    """Check before long work that a training can be written.

    Raises:
        OutputError: the folder has a run that is not to be resumed, or cannot be written.
        BackendUnavailable: Matplotlib is not installed.
    """
    require_matplotlib()
    folder = run_folder(target)
    if has_state(target) and not resume:
        raise OutputError(f"{folder}: has a run that has not ended; continue it with --resume, or delete the folder")
    require_place(folder / STATE if folder.exists() else folder)
    if resume and not has_state(target):
        note(f"{folder}: has no run to continue, so the training starts with its first epoch")


def _trained(
    source: Source,
    slimmed: Slimmed,
    spec: ModelSpec,
    judges: _Judges,
    fitted: str,
    *,
    training: Training,
    supply: Supply,
    folder: Path,
    seed: int,
) -> Any:
    """Train a slimmed network, and return the `keras.Model`: the untrained one if that is nearer to the teacher.

    `fitted` is the SHA-256 of the images that the network was fitted to.
    """
    plan = Plan(
        teacher=source.sha256,
        share=slimmed.share,
        epochs=training.epochs,
        steps=training.steps,
        learning_rate=training.learning_rate,
        seed=seed,
        data={**training.data, "fitted": fitted},
    )
    artifact = make_tflite(
        Path("teacher.tflite"), source.graph, source.spec, RECIPES[_TEACHING], source.sha256, takes_pixels=False
    )
    every = slice(None, None, -(-len(judges.texts) // _MOST_VALIDATED))
    validation = Batch(_prepared(judges.images.entries[every], spec), judges.texts[every])
    lessons = Lessons(supply, artifact.spec.input, artifact, plan.batch)
    model = distil(
        slimmed.graph,
        spec,
        lessons,
        validation,
        plan,
        folder,
        workers=training.workers,
        resume=training.resume,
        on_epoch=training.on_epoch,
    )
    untrained = to_keras(slimmed.graph)
    lesson = lessons.about(validation.images)
    before, after = (mean_weighted_divergence(network, lesson, spec.skip_steps) for network in (untrained, model))
    if before < after:
        note(
            "training made the student worse, so the untrained one is written: on the images held back, the loss rose"
            f" from {before:.4f} to {after:.4f} nats an image; add images, or choose a lower --learning-rate"
        )
        return untrained
    return model


def _split(count: int, seed: int) -> tuple[Places, Places]:
    """Return the places of the images to fit to, and of those that are held back."""
    order = np.random.default_rng(seed).permutation(count)
    fitted = count - count // 3
    return np.sort(order[:fitted]), np.sort(order[fitted:])


@dataclass(frozen=True)
class _Judges:
    """The images that were held back, those alone that the teacher reads."""

    source: Source
    images: Dataset
    texts: tuple[str, ...]
    """Texts of the teacher."""

    @classmethod
    def of(cls, source: Source, images: Dataset, readings: Readings, held_back: Places) -> _Judges:
        """Choose the images at the places `held_back` that count."""
        counts = _counted(source, readings)
        places = [place for place in held_back if counts[place]]
        if not places:
            raise DatasetError(f"{source.path.name} reads none of the {len(held_back)} images held back; add images")
        entries = tuple(images.entries[place] for place in places)
        return cls(source, replace(images, entries=entries), tuple(readings.labels[place] for place in places))

    def count_same(self, readings: Readings) -> int:
        """Count the images on which another network reads the text of the teacher."""
        return sum(text == label for text, label in zip(self.texts, readings.labels, strict=True))

    def count_same_of(self, graph: Graph) -> int:
        """Count the images on which a graph reads the text of the teacher, by LiteRT, which is faster than Keras."""
        artifact = make_tflite(Path("trial.tflite"), graph, self.source.spec, RECIPES["float32"], self.source.sha256)
        return self.count_same(artifact_readings(artifact, [self.images])[0])


def _smallest(slimmer: Slimmer, judges: _Judges, lose: float) -> tuple[Slimmed, list[Trial]]:
    slimmed, trials = smallest(slimmer, judges.count_same_of, least_same(len(judges.images), lose))
    if slimmed is None:
        best = max(trial.same for trial in trials)
        raise VerificationError(
            f"every network that was tried changes more than {lose:g}% of the texts; the best reads"
            f" {best:,} of {len(judges.images):,} images like {judges.source.path.name}: raise --lose, or give"
            " a share with --to"
        )
    return slimmed, trials


def _counted(source: Source, readings: Readings) -> npt.NDArray[np.bool_]:
    """Tell which images the teacher reads, and report the others."""
    pairs = zip(readings.labels, readings.confidences, strict=True)
    counts = np.array([bool(label) and confidence >= CONFIDENT for label, confidence in pairs])
    unread = int(np.sum(~counts))
    report = (
        f"{source.path.name} reads nothing in {unread:,} of {len(counts):,} images, or with a confidence below"
        f" {CONFIDENT:g}"
    )
    if 2 * unread > len(counts):
        raise DatasetError(
            f"{report}, expected at most half; add images that it reads, or measure its spec again: edge-crnn spec"
            f" {source.path} --labelled DIR --anew"
        )
    if unread:
        note(f"{report}; these do not count in the comparison")
    return counts


def _prepared(entries: Sequence[Entry], spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return images as the network takes them, (N, *input shape)."""
    images = progress((entry.load() for entry in entries), len(entries), "preparing images")
    return np.concatenate([preprocess(chunk, spec.input) for chunk in chunked(images, _CHUNK)])


def _write(target: Path, model: Any, spec: ModelSpec) -> None:
    """Write the model and its spec; on an error, files of an earlier run stay as they are."""
    beside = sidecar(target)
    pending = beside.with_name(f".{beside.name}.pending")
    try:
        write_atomically(pending, f"{essential(spec)}\n".encode())
        save_keras(model, target)
        pending.replace(beside)  # needs no room on the disk, and comes at once after the model
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            error.errno, f"{beside}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    finally:
        pending.unlink(missing_ok=True)
