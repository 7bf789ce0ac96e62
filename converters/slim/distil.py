"""Distils: a student learns to give the posteriors of its teacher on images without labels.

The loss is the Kullback-Leibler divergence of the student's distribution from the teacher's, summed over the time steps
that are decoded (Hinton, Vinyals, Dean 2015, at temperature 1). Teacher and student have the same steps, so that the
student learns the teacher's alignment as well, and needs no CTC loss. Each image is weighted by the probability of the
teacher's likeliest path, which is lower for longer outputs, too: the few images in which the teacher itself is unsure
diverge most, and would otherwise make up most of the loss and of the noise in its gradients.

The state of a run is written after every epoch, and a run that was killed continues to the same bits.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_crnn.backends import Backend, Probabilities, open_backend
from edge_crnn.errors import InputError, OutputError
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import InputSpec, ModelSpec
from edge_crnn.progress import progress
from edge_crnn.training.batches import Batch, Source, make_batch, prepared
from edge_crnn.training.fit import evaluate
from edge_crnn.training.history import Row, write_history
from edge_crnn.training.optimisers import current_rate, jit_compile, make_optimiser
from edge_crnn.training.state import load_state, save_state

from ..graph.cells import Array
from ..graph.graph import Graph
from ..keras import to_keras
from . import allot

STATE = "state.npz"
_SMALLEST = 1e-9
"""Probabilities below this one count as it in logarithms."""
_CHUNK = 64


@dataclass(frozen=True)
class Plan:
    """All settings of a run; a run can be resumed only with the same plan."""

    teacher: str
    """SHA-256 of the teacher's file."""
    share: float
    """Share of the multiplications that remain."""
    epochs: int
    steps: int = 250
    """Batches per epoch."""
    batch: int = 32
    learning_rate: float = 2e-4
    """Lower than for a network that begins at random: the student begins near its teacher."""
    seed: int = 0
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Description of the images."""


class Lesson(NamedTuple):
    """Images, and what the teacher gives on them."""

    images: Array
    """Images of shape (N, *InputSpec.shape) float32."""
    posteriors: Probabilities
    """Probabilities of shape (N, steps, classes) float32."""


@dataclass(frozen=True)
class Lessons:
    """An endless supply of lessons; lesson i depends only on i. It is picklable, since workers get a copy."""

    source: Source
    spec: InputSpec
    """The network's own input."""
    teacher: Artifact
    """An artifact of the teacher that takes the network's own input; on a CPU it is several times as fast as Keras."""
    size: int
    """Number of images in a lesson."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the engine out of copies, since it belongs to one process."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __call__(self, index: int) -> Lesson:
        """Make lesson `index`.

        Raises:
            ImageError: an image cannot be read.
        """
        return self.about(make_batch(self.source, self.spec, self.size, index).images)

    def about(self, images: Array) -> Lesson:
        """Make a lesson of images of shape (N, *InputSpec.shape) float32."""
        return Lesson(images, np.concatenate([self._backend.infer(image[None]) for image in images]))

    @cached_property
    def _backend(self) -> Backend:
        return open_backend(self.teacher)


def distil(
    graph: Graph,
    spec: ModelSpec,
    lessons: Lessons,
    validation: Batch,
    plan: Plan,
    folder: Path,
    *,
    workers: int = 0,
    resume: bool = False,
    on_epoch: Callable[[Row], None] = lambda _: None,
) -> Any:
    """Train a network to give the posteriors of its teacher.

    Args:
        graph: the student.
        spec: its spec.
        lessons: what it learns from.
        validation: images with the teacher's texts, to judge every epoch by.
        plan: the settings.
        folder: the folder of the log, the curve and the state; it is made after the first epoch.
        workers: processes that make lessons ahead; the result does not depend on it.
        resume: continue from the folder's state, if there is one.
        on_epoch: called with the figures of every epoch, once its state is written; *exact* is the share of texts
            like the teacher's.

    Returns:
        The trained `keras.Model`, with averaged weights.

    Raises:
        InputError: the state is of another plan, or the loss or the probabilities are no longer finite.
        ModelFileError: the state cannot be read, or is of another network.
        ImageError: an image cannot be read.
        OutputError: the folder cannot be written.
        BackendError: a process that prepares images was killed.
    """
    model = to_keras(graph)
    import keras  # after `to_keras`, which reports that it is not installed

    keras.utils.set_random_seed(plan.seed)
    averaged = to_keras(graph)
    student = _with_logits(model)
    optimiser = make_optimiser("adamw", plan.learning_rate, plan.epochs * plan.steps, averaged=True)
    student.compile(optimizer=optimiser, loss=weighted_divergence(spec.skip_steps), jit_compile=jit_compile())
    optimiser.build(student.trainable_variables)
    variables = [*model.variables, *optimiser.variables]
    rows = load_state(folder / STATE, plan, variables) if resume and (folder / STATE).exists() else []
    begun = time.monotonic() - (rows[-1].seconds if rows else 0.0)
    with prepared(lessons, len(rows) * plan.steps, workers) as coming:
        while len(rows) < plan.epochs:
            epoch = len(rows) + 1
            total = 0.0
            for lesson in progress(islice(coming, plan.steps), plan.steps, f"epoch {epoch}/{plan.epochs}"):
                loss = float(student.train_on_batch(lesson.images, lesson.posteriors))
                if not np.isfinite(loss):
                    raise _diverged(f"the loss is {loss}", rows, folder)
                total += loss
            optimiser.finalize_variable_values(_trainable(averaged))
            try:
                score = evaluate(averaged, spec, validation)
            except InputError as error:
                raise _diverged("the probabilities are not finite", rows, folder) from error
            row = Row(
                epoch=epoch,
                images=epoch * plan.steps * plan.batch,
                seconds=time.monotonic() - begun,
                learning_rate=current_rate(optimiser),
                loss=total / plan.steps,
                **dataclasses.asdict(score),
            )
            rows.append(row)
            _make(folder)
            save_state(folder / STATE, plan, rows, variables)
            write_history(folder, rows)
            on_epoch(row)
    optimiser.finalize_variable_values(_trainable(averaged))
    for layer in averaged.layers:  # on TensorFlow, a model that is trainable itself does not pass this on
        layer.trainable = True
    return averaged


def weighted_divergence(skip_steps: int) -> Callable[[Any, Any], Any]:
    """Return a loss for `keras.Model.compile`: (posteriors (N, T, C), logits (N, T, C)) → (N,) float32, in nats.

    It is the divergence of an image times the probability of the teacher's likeliest path. Like the decoder, it leaves
    out the first `skip_steps` of the T steps.
    """
    from keras import ops

    def loss(posteriors: Any, logits: Any) -> Any:
        posteriors = ops.cast(posteriors, "float32")[:, skip_steps:]
        log_student = ops.log_softmax(ops.cast(logits, "float32")[:, skip_steps:], axis=-1)
        log_teacher = ops.log(ops.maximum(posteriors, _SMALLEST))
        certainty = ops.exp(ops.sum(ops.max(log_teacher, axis=-1), axis=-1))
        return certainty * ops.sum(posteriors * (log_teacher - log_student), axis=(1, 2))

    return loss


def mean_weighted_divergence(model: Any, lesson: Lesson, skip_steps: int) -> float:
    """Return the mean of `weighted_divergence` over a lesson, for a `keras.Model` that gives probabilities."""
    student = np.asarray(model.predict(lesson.images, batch_size=_CHUNK, verbose=0), np.float32)[:, skip_steps:]
    teacher = lesson.posteriors[:, skip_steps:]
    certainty = np.prod(teacher.max(axis=-1), axis=-1, dtype=np.float64)
    return float((certainty * allot.divergence(teacher, student)).mean() * student.shape[1])


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            error.errno, f"{folder}: cannot be created ({error.strerror}); choose another place for the student"
        ) from error


def _diverged(problem: str, rows: Sequence[Row], folder: Path) -> InputError:
    """Return the error that ends a run whose figures are not finite."""
    remedy = f"delete {folder} and start again" if rows else "start again"
    return InputError(f"epoch {len(rows) + 1}: {problem}; {remedy} with a lower --learning-rate")


def _with_logits(model: Any) -> Any:
    """Return the model without its last softmax, whose gradient is lost in rounding where a probability is near 0."""
    import keras

    last = model.layers[-1]  # an operation may come after it, which is not among the layers
    is_softmax = isinstance(last, keras.layers.Activation) and last.activation is keras.activations.softmax
    logits = (
        last.input
        if is_softmax and last.output is model.outputs[0]
        else keras.ops.log(keras.ops.maximum(model.output, _SMALLEST))
    )
    student = keras.Model(model.input, logits)
    _trainable(student)
    return student


def _trainable(model: Any) -> list[Any]:
    """Freeze the batch normalisations, whose statistics are those of the teacher, and return the other variables."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return list(model.trainable_variables)
