"""Training: a plan, images, and a folder in which the best model, the log and the state of the run are kept.

The state is written whole after every epoch, so that a run that was killed goes on from the last one as if nothing had
happened: batch i is a matter of i alone, and all else that changes is in the variables of the model and its optimiser.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from .. import ctc
from ..errors import InputError, ModelFileError
from ..files import write_atomically
from ..model.artifact import sidecar
from ..model.spec import ModelSpec
from ..progress import progress
from .architectures import ARCHITECTURES, SOFTMAX
from .batches import Batch, Source, batches
from .history import Row, write_history
from .loss import ctc_loss, pack
from .metrics import Score, score
from .optimisers import make_optimiser
from .plan import Plan, Precision
from .state import load_state, save_state

MODEL = "best.keras"
STATE = "state.npz"
_CHUNK = 64


def build(plan: Plan, spec: ModelSpec, precision: Precision = "float32") -> Any:
    """Build the plan's network for a spec, with fresh weights.

    Raises:
        InputError: no such architecture, or the spec does not fit it.
    """
    import keras

    if plan.architecture not in ARCHITECTURES:
        raise InputError(f"architecture {plan.architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = ARCHITECTURES[plan.architecture].build(
            spec.output.classes,
            width_px=spec.input.width,
            height_px=spec.input.height,
            width=plan.width,
            rnn=plan.rnn,
        )
    finally:
        keras.config.set_dtype_policy(before)
    if model.output_shape[1:] != (spec.output.steps, spec.output.classes):
        raise InputError(f"the network gives {model.output_shape[1:]}, its spec says {spec.output}: mend the spec")
    return model


def fit(
    plan: Plan,
    spec: ModelSpec,
    source: Source,
    validation: Batch,
    folder: Path,
    *,
    workers: int = 0,
    initial: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[Row], None] = lambda _: None,
) -> Row:
    """Train, and return the row of the best epoch; `folder` then holds `best.keras` with its spec beside it.

    Args:
        plan: how.
        spec: of the model.
        source: images to train with.
        validation: images to judge each epoch by: more texts right, at a tie fewer wrong characters.
        folder: for `best.keras`, `log.csv`, `curve.png` and the state.
        workers: processes that make images ahead; the result does not depend on it.
        initial: a trained model of the same shape to start from.
        resume: go on from the folder's state, if there is one.
        on_epoch: called with each epoch's row.

    Raises:
        InputError: the state in the folder is of another plan.
        ModelFileError: `initial` or the state cannot be read, or has other shapes.
        OutputError: the folder cannot be written.
    """
    import keras
    from keras import ops

    keras.utils.set_random_seed(plan.seed)
    model = build(plan, spec, plan.precision)
    if initial is not None:
        copy_weights(_load(initial), model)
    optimiser = make_optimiser(plan.optimiser, plan.learning_rate, plan.epochs * plan.steps)
    if plan.precision == "mixed_float16":
        optimiser = keras.optimizers.LossScaleOptimizer(optimiser)
    trained = keras.Model(model.inputs, model.get_layer(SOFTMAX).input)
    loss = ctc_loss(spec.blank, spec.skip_steps)
    # XLA takes minutes to compile the recurrent loops for a CPU on TensorFlow, and gains nothing there.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    trained.compile(optimizer=optimiser, loss=loss, jit_compile=jit)
    optimiser.build(trained.trainable_variables)
    variables = [*model.variables, *optimiser.variables]
    rows = load_state(folder / STATE, plan, variables) if resume and (folder / STATE).exists() else []
    best = max(rows, key=_rank, default=None)
    begun = time.monotonic() - (rows[-1].seconds if rows else 0.0)
    alphabet = spec.alphabet
    steps = spec.output.steps - spec.skip_steps
    with batches(source, spec.input, plan.batch, len(rows) * plan.steps, workers) as coming:
        while len(rows) < plan.epochs and (plan.patience is None or not best or len(rows) - best.epoch < plan.patience):
            epoch = len(rows) + 1
            total = 0.0
            for batch in progress(islice(coming, plan.steps), plan.steps, f"epoch {epoch}/{plan.epochs}"):
                labels = pack([alphabet.encode(label) for label in batch.labels], steps, source.longest)
                total += float(trained.train_on_batch(batch.images, labels))
            row = Row(
                epoch=epoch,
                images=epoch * plan.steps * plan.batch,
                seconds=time.monotonic() - begun,
                learning_rate=float(ops.convert_to_numpy(optimiser.learning_rate)),
                loss=total / plan.steps,
                **dataclasses.asdict(evaluate(model, spec, validation)),
            )
            rows.append(row)
            if best is None or _rank(row) > _rank(best):
                best = row
                save_model(plan, spec, model, folder / MODEL)
            save_state(folder / STATE, plan, rows, variables)
            write_history(folder, rows)
            on_epoch(row)
    assert best is not None
    return best


def evaluate(model: Any, spec: ModelSpec, validation: Batch) -> Score:
    """Score what a model reads on labelled images, by best-path decoding."""
    alphabet = spec.alphabet
    read: list[str] = []
    for start in range(0, len(validation.labels), _CHUNK):
        images = validation.images[start : start + _CHUNK]
        padded = np.zeros((_CHUNK, *images.shape[1:]), np.float32)  # one size: each new one would be compiled anew
        padded[: len(images)] = images
        probabilities = np.asarray(model.predict_on_batch(padded), np.float32)[: len(images)]
        read += (alphabet.spell(reading.indices) for reading in ctc.greedy(probabilities, spec.blank, spec.skip_steps))
    return score(read, validation.labels)


def save_model(plan: Plan, spec: ModelSpec, model: Any, path: Path) -> None:
    """Write a model in float32, whatever precision it was trained in, with its spec beside it."""
    if plan.precision != "float32":
        whole = build(plan, spec)
        copy_weights(model, whole)
        model = whole
    with tempfile.TemporaryDirectory(prefix=".saving.", dir=path.parent) as near:
        saved = Path(near) / path.name
        model.save(saved)
        write_atomically(path, saved.read_bytes())
    write_atomically(sidecar(path), spec.to_json().encode())


def copy_weights(source: Any, target: Any) -> None:
    """Set a model's weights to those of another one of the same shape.

    Raises:
        ModelFileError: an array has another shape, or there are more or fewer.
    """
    for own, other in zip_longest(target.weights, source.weights):
        if own is None or other is None or own.shape != other.shape:
            actual, expected = (
                "nothing" if weight is None else f"{weight.path} {tuple(weight.shape)}" for weight in (other, own)
            )
            raise ModelFileError(f"the initial model has {actual}, expected {expected}: name one of the same network")
        own.assign(other)


def _load(path: Path) -> Any:
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ModelFileError(f"{path}: Keras cannot load it ({str(error).partition(chr(10))[0]})") from error


def _rank(row: Row) -> tuple[float, float]:
    return row.exact, -row.character_error_rate
