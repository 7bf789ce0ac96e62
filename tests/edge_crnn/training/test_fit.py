"""Training runs of a few steps, by real Keras."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.pipeline import open_source
from edge_crnn.alphabet import Alphabet
from edge_crnn.errors import InputError, ModelFileError
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.training.architectures import SOFTMAX
from edge_crnn.training.batches import Batch, Pixels, make_batch
from edge_crnn.training.drawn import WithNegatives
from edge_crnn.training.fit import MODEL, STATE, build, evaluate, fit
from edge_crnn.training.history import LOG
from edge_crnn.training.initial import copy_weights
from edge_crnn.training.plan import Plan

SPEC = ModelSpec(
    name="bars",
    symbols=("a", "b"),
    blank=2,
    input=InputSpec(width=32, height=32, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=7, classes=3),
)
PLAN = Plan("digits", epochs=3, steps=4, batch=4, width=0.04, seed=1)


@dataclass(frozen=True)
class Bars:
    """`a` is a bright upper half, `b` a bright lower half; one or two of them side by side."""

    seed: int = 0
    longest: int = 2

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        assert steps >= 3

    def sample(self, index: int) -> tuple[Pixels, str]:
        rng = np.random.default_rng((self.seed, index))
        label = "".join(rng.choice(["a", "b"], size=rng.integers(1, 3)))
        image = rng.integers(0, 60, (32, 16 * len(label), 3), np.uint8)
        for place, letter in enumerate(label):
            rows = slice(4, 14) if letter == "a" else slice(18, 28)
            image[rows, 16 * place + 4 : 16 * place + 12] += 180
        return image, label


VALIDATION = make_batch(Bars(seed=9), SPEC.input, 20, 0)


def train(folder: Path, plan: Plan = PLAN, **options: Any) -> list[Any]:
    folder.mkdir(exist_ok=True)
    rows: list[Any] = []
    fit(plan, SPEC, Bars(), VALIDATION, folder, on_epoch=rows.append, **options)
    return rows


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / STATE) as archive:
        return {name: archive[name] for name in archive.files if name != "json"}


class Killed(BaseException):
    """An exception that ends a run from outside."""


def killed_after(epoch: int) -> Any:
    def stop(row: Any) -> None:
        if row.epoch == epoch:
            raise Killed

    return stop


def test_the_loss_falls_and_text_comes_out(keras: Any, tmp_path: Path) -> None:
    rows = train(tmp_path, replace(PLAN, epochs=10, steps=20, batch=8, width=0.1, learning_rate=3e-3))
    assert rows[-1].loss < rows[0].loss / 10
    # The averages of the norms move slowly; after so few steps they still lower the figure.
    best = max(row.exact for row in rows)
    assert best > 0.5
    model = keras.saving.load_model(tmp_path / MODEL)
    assert evaluate(model, SPEC, VALIDATION).exact == best
    assert replace(open_source(tmp_path / MODEL).spec, artifact=None) == SPEC


def test_a_killed_run_goes_on_as_if_nothing_had_happened(keras: Any, tmp_path: Path) -> None:
    straight = train(tmp_path / "straight")
    (tmp_path / "killed").mkdir()
    with pytest.raises(Killed):
        fit(PLAN, SPEC, Bars(), VALIDATION, tmp_path / "killed", on_epoch=killed_after(2))
    resumed = train(tmp_path / "killed", resume=True, workers=1)
    assert [row.epoch for row in resumed] == [3]
    assert replace(resumed[-1], seconds=0) == replace(straight[-1], seconds=0)
    left = arrays(tmp_path / "straight")
    right = arrays(tmp_path / "killed")
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)
    logs = [
        [row | {"seconds": ""} for row in csv.DictReader((tmp_path / name / LOG).read_text().splitlines())]
        for name in ("straight", "killed")
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 3


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_saves_float32(keras: Any, tmp_path: Path, precision: Any) -> None:
    rows = train(tmp_path, replace(PLAN, precision=precision))
    assert np.isfinite([row.loss for row in rows]).all()
    model = keras.saving.load_model(tmp_path / MODEL)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_training_ends_when_no_better_model_comes(keras: Any, tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=9, steps=1, learning_rate=1e-9, patience=2)
    assert [row.epoch for row in train(tmp_path, plan)] == [1, 2, 3]
    assert train(tmp_path, plan, resume=True) == []


def test_a_trained_model_is_started_from(keras: Any, tmp_path: Path) -> None:
    untrained = build(replace(PLAN, seed=7), SPEC)
    untrained.save(tmp_path / "given.keras")
    train(tmp_path / "run", replace(PLAN, epochs=1, steps=1, learning_rate=1e-12), initial=tmp_path / "given.keras")
    trained = keras.saving.load_model(tmp_path / "run" / MODEL)
    for first, two in zip(untrained.trainable_variables, trained.trainable_variables, strict=True):
        assert np.abs(first.numpy() - two.numpy()).max() < 1e-6


def test_weights_of_another_network_are_refused(keras: Any) -> None:
    mine = build(PLAN, SPEC)
    with pytest.raises(ModelFileError, match=r"has conv1/kernel \(3, 3, 1, 4\), expected conv1/kernel \(3, 3, 1, 3\)"):
        copy_weights(build(replace(PLAN, width=0.07), SPEC), mine)
    shorter = keras.Model(mine.inputs, mine.get_layer(SOFTMAX).input)
    with pytest.raises(ModelFileError, match=r"has nothing, expected"):
        copy_weights(keras.Model(mine.inputs, shorter.get_layer("conv2").output), mine)


def test_an_initial_model_that_cannot_be_read_is_refused(keras: Any, tmp_path: Path) -> None:
    (tmp_path / "none.keras").write_bytes(b"none")
    with pytest.raises(ModelFileError, match=r"none\.keras: Keras cannot load it"):
        train(tmp_path, initial=tmp_path / "none.keras")


def test_an_architecture_that_is_unknown_or_does_not_fit_is_refused(keras: Any) -> None:
    with pytest.raises(InputError, match="architecture 'vgg': expected one of plates, digits"):
        build(replace(PLAN, architecture="vgg"), SPEC)
    with pytest.raises(InputError, match=r"the network gives \(7, 3\), but its spec says"):
        build(PLAN, replace(SPEC, output=OutputSpec(steps=8, classes=3)))


def test_evaluation_does_not_depend_on_the_number_of_images(keras: Any) -> None:
    model = build(PLAN, SPEC)
    whole = make_batch(Bars(seed=9), SPEC.input, 70, 0)
    scores = [evaluate(model, SPEC, Batch(whole.images[:n], whole.labels[:n])) for n in (70, 64)]
    assert scores[0].character_error_rate > 0
    assert all(0 <= score.exact <= 1 for score in scores)


@pytest.mark.parametrize(
    ("optimiser", "rate", "precision"),
    [("adam", 1e30, "float32"), ("adamw", 1e38, "float32"), ("adadelta", 3e38, "mixed_bfloat16")],
)
def test_training_ends_as_soon_as_the_loss_is_no_number(
    keras: Any, tmp_path: Path, optimiser: Any, rate: float, precision: Any
) -> None:
    """PaddleOCR#17876: the loss was nan to the end of the run, which wrote a model."""
    plan = replace(PLAN, epochs=3, steps=6, optimiser=optimiser, learning_rate=rate, precision=precision)
    with pytest.raises(InputError, match=r"epoch 1: .*learning rate .* lower --learning-rate"):
        train(tmp_path, plan)
    assert not (tmp_path / MODEL).exists()
    assert not (tmp_path / STATE).exists()


def test_weights_spoilt_by_the_last_step_are_not_saved(keras: Any, tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=1, steps=1, optimiser="adam", learning_rate=3e38)
    with pytest.raises(InputError, match=r"epoch 1: (a weight|the probabilities) .* lower --learning-rate"):
        train(tmp_path, plan)
    assert not (tmp_path / MODEL).exists()


@dataclass(frozen=True)
class Repeats(Bars):
    """Labels of which a share does not fit into four time steps."""

    longest: int = 4
    fitting: int = 0
    """Every so many labels fit; 0: none."""

    def require_steps(self, alphabet: Alphabet, steps: int) -> None:
        """Check nothing, as for labels without end."""

    def sample(self, index: int) -> tuple[Pixels, str]:
        image, _ = super().sample(index)
        return image, "ab" if self.fitting and index % self.fitting == 0 else "aaaa"


SHORT = replace(SPEC, skip_steps=3)


def test_labels_that_do_not_fit_are_reported(keras: Any, tmp_path: Path) -> None:
    notes: list[str] = []
    plan = replace(PLAN, epochs=1)
    validation = make_batch(Repeats(fitting=5), SPEC.input, 10, 0)
    fit(plan, SHORT, Repeats(fitting=4), validation, tmp_path, note=notes.append)
    assert [note.partition(" labels")[0] for note in notes] == ["validation: 8 of 10", "epoch 1: 12 of 16"]


def test_nothing_is_trained_where_no_label_fits(keras: Any, tmp_path: Path) -> None:
    """PaddleOCR#17876: with labels longer than the time steps the loss was 0.000, and a model was written."""
    with pytest.raises(InputError, match=r"validation: 4 of 4 labels do not fit into the 4 time steps"):
        fit(PLAN, SHORT, Bars(), make_batch(Repeats(), SPEC.input, 4, 0), tmp_path)
    with pytest.raises(InputError, match=r"epoch 1: 16 of 16 labels do not fit"):
        fit(PLAN, SHORT, Repeats(), VALIDATION, tmp_path)
    assert not (tmp_path / MODEL).exists()


@dataclass(frozen=True)
class Grey(Bars):
    """Grey images without a text."""

    def sample(self, index: int) -> tuple[Pixels, str]:
        rng = np.random.default_rng((self.seed, index))
        return rng.integers(0, 60, (32, 32, 3), np.uint8), ""


def test_nothing_is_read_in_negatives_and_a_killed_run_goes_on_with_them(keras: Any, tmp_path: Path) -> None:
    source = WithNegatives(Bars(), Grey(), 0.4)
    validation = make_batch(WithNegatives(Bars(seed=9), Grey(seed=9), 0.4), SPEC.input, 20, 0)
    assert validation.labels.count("") == 8
    plan = replace(PLAN, epochs=2, steps=10, batch=8, learning_rate=3e-3)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for folder in (straight, killed):
        folder.mkdir()
    best = fit(plan, SPEC, source, validation, straight)
    assert best.exact >= 8 / 20  # the empty label is learnt first
    with pytest.raises(Killed):
        fit(plan, SPEC, source, validation, killed, on_epoch=killed_after(1))
    fit(plan, SPEC, source, validation, killed, resume=True)
    left, right = arrays(straight), arrays(killed)
    assert all(np.array_equal(left[name], right[name]) for name in left)


def test_without_validation_images_nothing_is_trained(keras: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no validation image"):
        fit(PLAN, SPEC, Bars(), Batch(VALIDATION.images[:0], ()), tmp_path)


def test_a_resumed_run_does_not_need_the_initial_model(keras: Any, tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=1, steps=1)
    assert len(train(tmp_path, plan)) == 1
    assert train(tmp_path, plan, resume=True, initial=tmp_path / "removed.keras") == []
