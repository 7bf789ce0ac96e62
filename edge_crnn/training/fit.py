"""Training: a plan, images, and a folder in which the best model, the log and the state of the run are kept.

The state is written completely after every epoch, so a killed run can continue as if nothing had happened: batch i
depends only on i, and everything else that changes is in the variables of the model and its optimiser.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .. import ctc
from ..alphabet import Alphabet
from ..ctc.lexicon import steps_of
from ..errors import InputError
from ..files import write_atomically
from ..model.artifact import sidecar
from ..model.spec import ModelSpec
from ..progress import note as to_stderr
from ..progress import progress
from .architectures import ARCHITECTURES, SOFTMAX
from .batches import Batch, Source, batches
from .history import Row, require_matplotlib, write_history
from .initial import copy_weights, load_initial, take_over
from .loss import ctc_loss, pack
from .metrics import Score, score
from .optimisers import current_rate, jit_compile, make_optimiser
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
        raise InputError(
            f"the network gives {model.output_shape[1:]}, but its spec says {spec.output}; correct the spec"
        )
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
    note: Callable[[str], None] = to_stderr,
) -> Row:
    """Train, and return the row of the best epoch; `folder` then holds `best.keras` with its spec beside it.

    Args:
        plan: the settings of the run.
        spec: the spec of the model.
        source: images to train with.
        validation: images to judge every epoch by: more correct texts, then fewer wrong characters.
        folder: the folder of `best.keras`, `log.csv`, `curve.png` and the state.
        workers: processes that make images ahead; the result does not depend on it.
        initial: a trained model of the same network to start from; its alphabet may differ. See `take_over`.
        resume: continue from the folder's state, if there is one.
        on_epoch: called with the row of every epoch.
        note: writes a line that the user should know.

    Raises:
        InputError: the state in the folder is of another plan, there is no validation image, or the loss is no longer
            a finite number.
        DatasetError: a label needs more time steps than the network has.
        ModelFileError: `initial` or the state cannot be read, or has other shapes.
        ModelSpecError: `initial` has other classes, and no spec names them.
        OutputError: the folder cannot be written.
        BackendError: a process that prepares images was killed.
        BackendUnavailable: Matplotlib is not installed.
    """
    import keras

    require_matplotlib()
    alphabet = spec.alphabet
    steps = spec.output.steps - spec.skip_steps
    _require_labels(source, validation, alphabet, steps, note)
    keras.utils.set_random_seed(plan.seed)
    model = build(plan, spec, plan.precision)
    resumed = resume and (folder / STATE).exists()
    if initial is not None and not resumed:
        note(take_over(load_initial(initial), model, alphabet))
    optimiser = make_optimiser(plan.optimiser, plan.learning_rate, plan.epochs * plan.steps)
    if plan.precision == "mixed_float16":
        optimiser = keras.optimizers.LossScaleOptimizer(optimiser)
    trained = keras.Model(model.inputs, model.get_layer(SOFTMAX).input)
    trained.compile(optimizer=optimiser, loss=ctc_loss(spec.blank, spec.skip_steps), jit_compile=jit_compile())
    optimiser.build(trained.trainable_variables)
    variables = [*model.variables, *optimiser.variables]
    rows = load_state(folder / STATE, plan, variables) if resumed else []
    best = max(rows, key=_rank, default=None)
    begun = time.monotonic() - (rows[-1].seconds if rows else 0.0)
    with batches(source, spec.input, plan.batch, len(rows) * plan.steps, workers) as coming:
        while len(rows) < plan.epochs and (plan.patience is None or not best or len(rows) - best.epoch < plan.patience):
            epoch = len(rows) + 1
            total = 0.0
            too_long = 0
            for batch in progress(islice(coming, plan.steps), plan.steps, f"epoch {epoch}/{plan.epochs}"):
                labels = pack([alphabet.encode(label) for label in batch.labels], steps, source.longest)
                too_long += int(np.count_nonzero(labels[:, 0] < 0))
                loss = float(trained.train_on_batch(batch.images, labels))
                if not np.isfinite(loss):
                    raise _diverged(f"the loss is {loss}", epoch, plan, optimiser)
                total += loss
            if too_long:
                _report_too_long(too_long, plan.steps * plan.batch, f"epoch {epoch}: ", steps, note)
            if not all(np.isfinite(weight).all() for weight in model.get_weights()):
                raise _diverged("a weight is no longer finite", epoch, plan, optimiser)
            try:
                validated = evaluate(model, spec, validation)
            except InputError as error:
                raise _diverged("the probabilities are no longer finite", epoch, plan, optimiser) from error
            row = Row(
                epoch=epoch,
                images=epoch * plan.steps * plan.batch,
                seconds=time.monotonic() - begun,
                learning_rate=current_rate(optimiser),
                loss=total / plan.steps,
                **dataclasses.asdict(validated),
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
    """Score what a model reads on labelled images, by best-path decoding.

    Raises:
        InputError: the model gives a probability that is not finite, or there is no image.
    """
    alphabet = spec.alphabet
    read: list[str] = []
    for start in range(0, len(validation.labels), _CHUNK):
        images = validation.images[start : start + _CHUNK]
        padded = np.zeros((_CHUNK, *images.shape[1:]), np.float32)  # one size, because every new size is compiled
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


def _require_labels(
    source: Source, validation: Batch, alphabet: Alphabet, steps: int, note: Callable[[str], None]
) -> None:
    """Check before the first step that the labels fit into the time steps, and that there are validation images.

    Raises:
        InputError: there is no validation image, or none whose label fits.
        DatasetError: a training label does not fit.
    """
    if not validation.labels:
        raise InputError("found no validation image, expected at least 1 to judge epochs by; add --validation images")
    source.require_steps(alphabet, steps)
    if too_long := sum(steps_of(alphabet.encode(label)) > steps for label in validation.labels):
        _report_too_long(too_long, len(validation.labels), "validation: ", steps, note)


def _report_too_long(count: int, total: int, where: str, steps: int, note: Callable[[str], None]) -> None:
    """Report the number of labels that do not fit into the time steps; a few random labels may not.

    Raises:
        InputError: none of them fits.
    """
    message = (
        f"{where}{count:,} of {total:,} labels do not fit into the {steps} time steps of the network (a repeated symbol"
        " also needs a blank); use shorter labels, or a network for wider images"
    )
    if count == total:
        raise InputError(message)
    note(message)


def _diverged(problem: str, epoch: int, plan: Plan, optimiser: Any) -> InputError:
    """Return the error that ends a run whose figures are not finite."""
    precision = "" if plan.precision == "float32" else ", or compute in --precision float32"
    return InputError(
        f"epoch {epoch}: {problem}, at the learning rate {current_rate(optimiser):g}; training ends here, because it"
        f" would learn nothing more. Choose a lower --learning-rate{precision}"
    )


def _rank(row: Row) -> tuple[float, float]:
    return row.exact, -row.character_error_rate
