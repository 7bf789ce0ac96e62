"""Students of a few steps, on Keras."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.artifact import make_tflite
from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.graph import Graph
from converters.keras import save_keras, to_keras
from converters.recipe import RECIPES
from converters.slim.distil import (
    STATE,
    Lesson,
    Lessons,
    Plan,
    _with_logits,
    distil,
    mean_weighted_divergence,
    weighted_divergence,
)
from edge_crnn import ctc
from edge_crnn.errors import InputError, OutputError
from edge_crnn.model.artifact import Artifact
from edge_crnn.training import state
from edge_crnn.training.batches import Batch, Pixels, make_batch, prepared
from edge_crnn.training.history import CURVE, LOG, Row
from tests.conftest import TINY

PLAN = Plan("0" * 64, 1.0, epochs=3, steps=4, batch=4, learning_rate=3e-3, seed=1)


@dataclass(frozen=True)
class Blobs:
    """Soft noise, which depends on the number of the image alone."""

    seed: int = 0
    longest: int = 0

    def require_steps(self, *_: object) -> None:
        """Check nothing: there are no labels."""

    def sample(self, index: int) -> tuple[Pixels, str]:
        grid = np.random.default_rng((self.seed, index)).integers(0, 256, (5, 9, 3), np.uint8)
        return np.repeat(np.repeat(grid, 4, axis=0), 4, axis=1)[2:18, 2:34], ""


def noisy(graph: Graph, amount: float = 0.05) -> Graph:
    """Return a graph whose weights are a little wrong."""
    random = np.random.default_rng(4)

    def changed(array: np.ndarray) -> np.ndarray:
        return (array + amount * array.std() * random.standard_normal(array.shape)).astype(np.float32)

    nodes = [
        replace(node, kernel=changed(node.kernel)) if isinstance(node, n.Conv | n.Dense) else node
        for node in graph.nodes
    ]
    return Graph(graph.input_shape, tuple(nodes))


def teacher(graph: Graph, recipe: str = "dynamic") -> Artifact:
    return make_tflite(Path("teacher.tflite"), graph, TINY, RECIPES[recipe], "0" * 64, takes_pixels=False)


@pytest.fixture(scope="module")
def lessons(tiny_graph: Graph) -> Lessons:
    return Lessons(Blobs(), TINY.input, teacher(tiny_graph), PLAN.batch)


@pytest.fixture(scope="module")
def validation(tiny_graph: Graph) -> Batch:
    images = make_batch(Blobs(9), TINY.input, 20, 0).images
    readings = ctc.greedy(oracle.run(tiny_graph, images), TINY.blank, TINY.skip_steps)
    return Batch(images, tuple(TINY.alphabet.spell(reading.indices) for reading in readings))


Train = Callable[..., tuple[Any, list[Row]]]


@pytest.fixture(scope="module")
def train(keras: Any, tiny_graph: Graph, lessons: Lessons, validation: Batch) -> Train:
    """Trains a noisy copy of the teacher, and returns the model and the rows."""

    def train(folder: Path, plan: Plan = PLAN, graph: Graph | None = None, **options: Any) -> tuple[Any, list[Row]]:
        rows: list[Row] = []
        graph = noisy(tiny_graph) if graph is None else graph
        model = distil(graph, TINY, lessons, validation, plan, folder, **{"on_epoch": rows.append} | options)
        return model, rows

    return train


def saved(model: Any, folder: Path) -> bytes:
    save_keras(model, folder / "student.keras")
    return (folder / "student.keras").read_bytes()


@dataclass(frozen=True)
class Run:
    """A run that nothing disturbed."""

    folder: Path
    rows: list[Row]
    student: bytes


@pytest.fixture(scope="module")
def straight(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("straight")
    model, rows = train(folder / "run")
    return Run(folder / "run", rows, saved(model, folder))


distributions = st.integers(0, 1 << 32).map(np.random.default_rng)


def reference(posteriors: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return the divergence of softmax(logits) from the posteriors, times the probability of the likeliest path."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log_student = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    terms = [
        p * (np.log(p) - log_q) if p > 0 else 0.0
        for p, log_q in zip(posteriors.ravel().astype(np.float64), log_student.ravel(), strict=True)
    ]
    paths = [np.prod([max(step) for step in image]) for image in posteriors.astype(np.float64).tolist()]
    return np.array(paths) * np.reshape(terms, posteriors.shape).sum(axis=(1, 2))


@given(random=distributions, sharpness=st.floats(0, 60), skip=st.integers(0, 3))
def test_the_loss_is_the_divergence_weighted_by_the_likeliest_path(
    random: np.random.Generator, sharpness: float, skip: int, keras: Any
) -> None:
    logits = (sharpness * random.standard_normal((2, 4, 5))).astype(np.float32)
    scores = np.exp(sharpness * random.standard_normal((2, 4, 5)))
    posteriors = (scores / scores.sum(axis=-1, keepdims=True)).astype(np.float32)
    posteriors[0] = np.eye(5, dtype=np.float32)[:4]
    loss = np.asarray(weighted_divergence(skip)(posteriors, logits))
    assert loss.shape == (2,)
    np.testing.assert_allclose(loss, reference(posteriors[:, skip:], logits[:, skip:]), rtol=1e-3, atol=1e-4)


def test_the_mean_divergence_of_a_model_is_that_of_its_logits(keras: Any) -> None:
    random = np.random.default_rng(4)
    logits = random.standard_normal((5, 4, 3)).astype(np.float32)
    posteriors = random.dirichlet(np.ones(3), (5, 4)).astype(np.float32)
    image = keras.Input((4, 3))
    model = keras.Model(image, keras.layers.Softmax()(image))
    expected = reference(posteriors[:, 1:], logits[:, 1:]).mean()
    assert mean_weighted_divergence(model, Lesson(logits, posteriors), 1) == pytest.approx(expected, rel=1e-4)


def test_the_divergence_from_itself_is_0(keras: Any) -> None:
    logits = np.random.default_rng(3).standard_normal((3, 4, 5)).astype(np.float32)
    posteriors = np.asarray(keras.ops.softmax(logits))
    np.testing.assert_allclose(np.asarray(weighted_divergence(1)(posteriors, logits)), 0, atol=1e-5)


def test_the_gradient_survives_where_the_student_is_sure_of_another_class(keras: Any) -> None:
    """The gradient by the logits is the student's distribution less the teacher's, even at a probability of e^-200."""
    import tensorflow

    logits = tensorflow.constant([[[200.0, 0.0, -5.0]]])
    posteriors = np.array([[[0.0, 1.0, 0.0]]], np.float32)
    with tensorflow.GradientTape() as tape:
        tape.watch(logits)
        loss = weighted_divergence(0)(posteriors, logits)
    np.testing.assert_allclose(tape.gradient(loss, logits)[0, 0], [1, -1, 0], atol=1e-6)


@pytest.mark.parametrize("last", ["softmax", "slice"])
def test_the_logits_give_the_posteriors(last: str, keras: Any, tiny_graph: Graph) -> None:
    """The softmax need not be the last node."""
    graph = tiny_graph
    if last == "slice":
        graph = Graph(graph.input_shape, (*graph.nodes, n.Slice("cut", (1, 0), (15, 11), (1, 1), inputs=("softmax",))))
    model = to_keras(graph)
    images = make_batch(Blobs(), TINY.input, 3, 0).images
    logits = _with_logits(model).predict_on_batch(images)
    np.testing.assert_allclose(
        np.asarray(keras.ops.softmax(logits)), np.asarray(model.predict_on_batch(images)), atol=1e-6
    )
    is_softmax = np.allclose(np.exp(logits).sum(axis=-1), 1, atol=1e-3)
    assert is_softmax == (last == "slice")


def test_a_lesson_depends_on_its_number_alone(lessons: Lessons) -> None:
    first = [lessons(index) for index in (0, 1, 2)]
    again = [replace(lessons)(index) for index in (2, 0, 1)]
    for lesson, same in zip(first, (again[1], again[2], again[0]), strict=True):
        np.testing.assert_array_equal(lesson.images, same.images)
        np.testing.assert_array_equal(lesson.posteriors, same.posteriors)
    assert not np.array_equal(first[0].images, first[1].images)
    assert first[0].images.shape == (PLAN.batch, *TINY.input.shape)
    assert first[0].posteriors.shape == (PLAN.batch, TINY.output.steps, TINY.output.classes)
    assert first[0].posteriors.dtype == np.float32


def test_a_supply_that_has_been_used_is_copied_without_its_engine(lessons: Lessons) -> None:
    expected = lessons(0)
    copy = pickle.loads(pickle.dumps(lessons))
    assert copy == lessons
    np.testing.assert_array_equal(copy(0).posteriors, expected.posteriors)


@pytest.mark.thorough
def test_workers_give_the_same_lessons(lessons: Lessons) -> None:
    with prepared(lessons, 2, 1) as coming:
        by_worker = list(islice(coming, 2))
    for lesson, expected in zip(by_worker, map(lessons, (2, 3)), strict=True):
        np.testing.assert_array_equal(lesson.images, expected.images)
        np.testing.assert_array_equal(lesson.posteriors, expected.posteriors)


@pytest.mark.parametrize(("recipe", "change"), [("float32", 1e-4), ("dynamic", 0.2)])
def test_the_posteriors_are_those_of_the_teacher(
    recipe: str, change: float, keras: Any, tiny_graph: Graph, lessons: Lessons
) -> None:
    lesson = replace(lessons, teacher=teacher(tiny_graph, recipe))(1)
    expected = np.asarray(to_keras(tiny_graph).predict_on_batch(lesson.images))
    np.testing.assert_allclose(lesson.posteriors, expected, atol=change)


def test_the_loss_falls_and_is_logged(straight: Run) -> None:
    assert [row.epoch for row in straight.rows] == [1, 2, 3]
    assert straight.rows[-1].loss < straight.rows[0].loss
    assert straight.rows[-1].images == PLAN.epochs * PLAN.steps * PLAN.batch
    assert sorted(path.name for path in straight.folder.iterdir()) == sorted([CURVE, LOG, STATE])
    table = list(csv.DictReader((straight.folder / LOG).read_text(encoding="utf-8").splitlines()))
    assert [float(line["loss"]) for line in table] == [row.loss for row in straight.rows]


class Killed(BaseException):
    """An exception that ends a run from outside."""


@pytest.mark.parametrize("end", ["killed", "full disk"])
def test_a_run_that_was_ended_continues_to_the_same_bytes(
    end: str, train: Train, straight: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def after(row: Row) -> None:
        if row.epoch == 2:
            raise Killed
        if end == "full disk":
            monkeypatch.setattr(state, "write_atomically", full)

    def full(*_: object) -> None:
        raise OutputError(28, "no room")

    with pytest.raises(Killed if end == "killed" else OutputError):
        train(folder, on_epoch=after)
    monkeypatch.undo()
    model, rows = train(folder, resume=True, workers=1 if end == "killed" else 0)
    assert [row.epoch for row in rows] == ([3] if end == "killed" else [2, 3])
    assert [replace(row, seconds=0) for row in rows] == [replace(row, seconds=0) for row in straight.rows[-len(rows) :]]
    assert saved(model, tmp_path) == straight.student


def test_a_run_that_has_only_to_be_written_trains_no_more(train: Train, straight: Run, tmp_path: Path) -> None:
    model, rows = train(straight.folder, resume=True)
    assert rows == []
    assert saved(model, tmp_path) == straight.student


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 4}, "epochs 3.*4"),
        ({"teacher": "1" * 64}, "teacher"),
        ({"data": {"count": 7}}, "data count None.*7"),
    ],
)
def test_another_plan_is_refused_and_the_state_stays(
    change: dict[str, Any], named: str, train: Train, straight: Run
) -> None:
    before = {path: path.read_bytes() for path in straight.folder.iterdir()}
    with pytest.raises(InputError, match=f"has {named}.* the same options"):
        train(straight.folder, replace(PLAN, **change), resume=True)
    assert {path: path.read_bytes() for path in straight.folder.iterdir()} == before


def test_a_loss_that_is_not_finite_is_an_error_and_leaves_no_folder(train: Train, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"epoch 1: .*lower --learning-rate"):
        train(tmp_path / "run", replace(PLAN, learning_rate=1e30))
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_finite_after_the_last_step_are_an_error(train: Train, tmp_path: Path) -> None:
    """No loss shows them."""
    with pytest.raises(InputError, match=r"epoch 1: .*lower --learning-rate"):
        train(tmp_path / "run", replace(PLAN, epochs=1, steps=1, learning_rate=float("inf")))
    assert not (tmp_path / "run").exists()


def test_norms_stay_as_they_are_and_are_not_frozen_in_the_file(
    keras: Any, train: Train, tiny_graph: Graph, tmp_path: Path
) -> None:
    """A norm that is folded into no layer has the statistics of the teacher."""
    random = np.random.default_rng(5)
    scale, shift = random.uniform(0.5, 1.5, (2, 8)).astype(np.float32)
    nodes = []
    for node in tiny_graph.nodes:
        nodes.append(replace(node, inputs=("norm",)) if node.inputs == ("pool",) else node)
        if node.name == "pool":
            nodes.append(n.Affine("norm", scale, shift, inputs=("pool",)))
    graph = Graph(tiny_graph.input_shape, tuple(nodes))
    plan = replace(PLAN, epochs=1, steps=2, learning_rate=0.1)
    saved(train(tmp_path / "run", plan, graph)[0], tmp_path)
    model = keras.saving.load_model(tmp_path / "student.keras")
    untrained = to_keras(graph)
    assert all(layer.trainable for layer in model.layers)
    (norm,) = (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    for variable, before in zip(norm.get_weights(), untrained.get_layer(norm.name).get_weights(), strict=True):
        np.testing.assert_array_equal(variable, before)
    assert not np.array_equal(model.get_layer("conv").get_weights()[0], untrained.get_layer("conv").get_weights()[0])
