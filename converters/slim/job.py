"""Slims a trained model: it reads images, and the smaller network becomes a Keras file with a spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_crnn.dataset import Dataset, Entry, chunked
from edge_crnn.errors import DatasetError, InputError, OutputError, VerificationError
from edge_crnn.files import write_atomically
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import ModelSpec, Teacher
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import note, progress, status

from ..artifact import make_tflite
from ..conventions.complete import essential
from ..graph.graph import Graph
from ..keras import write_keras
from ..pipeline import artifact_readings, reference_readings
from ..recipe import RECIPES
from ..source import Source, open_source
from ..verify.gate import Readings
from .search import Trial, least_same, smallest
from .slim import MAX_IMAGES, MIN_IMAGES, Slimmed, Slimmer
from .units import Places

SHARE = 0.15
"""Default share of the multiplications."""
FEWEST = MIN_IMAGES * 3 // 2
"""Fewest images to slim with: two thirds of them are fitted to."""
MOST = MAX_IMAGES * 3 // 2
"""Default number of images: so many are fitted to that more would not change much."""
CONFIDENT = 0.5
"""Least confidence of a text of the teacher that counts."""
_CHUNK = 32


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
    trials: tuple[Trial, ...] = ()
    """The networks that were tried to find the smallest one."""


def slim_model(
    source: Source, images: Dataset, target: Path, *, share: float = SHARE, lose: float | None = None, seed: int = 0
) -> Student:
    """Slim a trained model, and write the smaller one with its spec, both or neither.

    At least a third of the images is held back from the fit to compare the two models. An image counts there if the
    teacher reads some text with a confidence of at least 0.5; a note on stderr says how many do not.

    Args:
        source: the teacher.
        images: images like those that the model will read; labels are not used.
        target: the `.keras` file to write.
        share: multiplications of the smaller network, as a share of the teacher's.
        lose: instead of `share`, the percentage points of texts that may change; the smallest network is looked for.
        seed: decides which images are held back, and the random choices of the fit.

    Raises:
        InputError: the model was itself slimmed from another one, or the share cannot be reached.
        DatasetError: there are too few images, or the teacher reads too few of them.
        VerificationError: every smaller network changes more texts than `lose` allows.
        OutputError: a file cannot be written.
    """
    if source.spec.teacher is not None:
        raise InputError(
            f"{source.path} is itself {source.spec.teacher.headline}; slim {source.spec.teacher.file} instead"
        )
    if len(images) < FEWEST:
        raise DatasetError(f"{len(images)} images, expected at least {FEWEST}; add images, or draw some with --draw")
    (readings,) = reference_readings(source, [images], cached=True)
    fitted, held_back = _split(len(images), seed)
    judges = _Judges.of(source, images, readings, held_back)
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
    _write(target, slimmed.graph, spec)
    (ours,) = reference_readings(open_source(target), [judges.images])
    return Student(target, teacher, slimmed.kept, len(judges.images), judges.count_same(ours), tuple(trials))


def _split(count: int, seed: int) -> tuple[Places, Places]:
    """Return the places of the images to fit to, and of those that are held back."""
    order = np.random.default_rng(seed).permutation(count)
    fitted = min(MAX_IMAGES, count - count // 3)
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


def _write(target: Path, graph: Graph, spec: ModelSpec) -> None:
    """Write the model and its spec; on an error, files of an earlier run stay as they are."""
    beside = sidecar(target)
    pending = beside.with_name(f".{beside.name}.pending")
    try:
        write_atomically(pending, f"{essential(spec)}\n".encode())
        write_keras(graph, target)
        pending.replace(beside)  # needs no room on the disk, and comes at once after the model
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            error.errno, f"{beside}: cannot be written ({error.strerror}); choose another folder"
        ) from error
    finally:
        pending.unlink(missing_ok=True)
