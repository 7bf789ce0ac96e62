"""Recurrent layers: what they compute, and the form that they have in the file."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.graph.cells import Gate, GruCell, LstmCell
from converters.graph.graph import Graph
from converters.graph.nodes import Recurrent, Softmax
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES, Recipe
from converters.tflite.to_tflite import to_tflite
from tests.converters.tflite.running import (
    KINDS,
    NAMES,
    RECURRENT,
    SEQUENCE,
    Maker,
    Own,
    converted,
    ending,
    every_form,
    every_kind,
    holds,
    ops_of,
    read,
)

pytestmark = pytest.mark.thorough

M = Maker(7)
HARD: Gate = "hard_sigmoid_keras2"


@every_form
@pytest.mark.parametrize("layers", RECURRENT)
@pytest.mark.parametrize("batch", [1, 4])
def test_recurrent_layers(layers: str, recipe: Recipe, batch: int) -> None:
    holds(recipe, ending(SEQUENCE, *RECURRENT[layers]), batch)


@every_form
@pytest.mark.parametrize("layers", ["forward", "backward", "concat", "two widths", "gru sum", "lstm and gru"])
@pytest.mark.parametrize("steps", [8, 9, 19])
def test_sequences_longer_than_a_loop(steps: int, layers: str, recipe: Recipe) -> None:
    """Exactly a loop, and several loops, the last of which runs past the end."""
    holds(recipe, ending((steps, 5), *RECURRENT[layers]), batch=2)


@every_form
@every_kind
def test_recurrence_of_one_step(kind: str, recipe: Recipe) -> None:
    holds(recipe, ending((1, 5), *RECURRENT[KINDS[kind]]), batch=2)


@pytest.mark.parametrize("other", get_args(Gate))
@every_form
@every_kind
def test_hard_gates(kind: str, other: Gate, recipe: Recipe) -> None:
    """Wide open and shut, so that the clipping counts."""
    hard = M.cell(5, 4, "hard_sigmoid_keras2", kind)
    both = Recurrent("pair", replace(hard, kernel=3 * hard.kernel), replace(hard, recurrent_activation=other))
    holds(recipe, ending(SEQUENCE, both))


@every_form
@every_kind
def test_an_interpreter_keeps_nothing_between_images(kind: str, recipe: Recipe) -> None:
    graph = ending(SEQUENCE, *RECURRENT[KINDS[kind]])
    images = Maker(4).images(5, SEQUENCE)
    payload = converted(graph, recipe, calibrate(graph, [images]))
    fresh = np.concatenate([read(payload, images[index : index + 1]) for index in range(5)])
    assert np.ptp(fresh, axis=0).max() > 0.2
    np.testing.assert_array_equal(read(payload, images), fresh)
    np.testing.assert_array_equal(read(payload, images[::-1]), fresh[::-1])


# --- in the file -----------------------------------------------------------------------------------------------------

PRODUCTS = {"lstm": 1, "gru": 2}
"""In a step, and as many outside of the loop."""


def pair(recipe: Recipe, steps: int, kind: str = "lstm") -> tuple[bytes, schema.ModelT]:
    random = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype(np.float32)

    first, second = (
        LstmCell(some(8, 64), some(16, 64), some(64))
        if kind == "lstm"
        else GruCell(some(8, 48), some(16, 48), some(48), some(16))
        for _ in range(2)
    )
    graph = Graph.chain((steps, 8), (Recurrent("pair", first, second), Softmax("softmax")))
    ranges = calibrate(graph, [random.uniform(-1, 1, (4, steps, 8)).astype(np.float32)])
    payload = to_tflite(graph, Own((steps, 8)), recipe, ranges)  # type: ignore[arg-type]
    return payload, schema.ModelT.InitFromPackedBuf(payload, 0)


def ops(model: schema.ModelT) -> list[list[str]]:
    return [
        [NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] for op in subgraph.operators]
        for subgraph in model.subgraphs
    ]


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic", "int8"])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_loops_share_one_body_at_any_length(kind: str, recipe: str) -> None:
    """The input's products are outside, and the step's own products once in the body."""
    (short, _), (long, model) = (pair(RECIPES[recipe], steps, kind) for steps in (4, 40))
    assert len(long) - len(short) < 8_000  # a few ops and names: no weights
    main, condition, body = ops(model)
    assert main.count("WHILE") == 5
    assert main.count("FULLY_CONNECTED") == body.count("FULLY_CONNECTED") == 2 * PRODUCTS[kind]
    assert condition == ["LESS"]


@pytest.mark.parametrize("second", ["wider", "other kind", "other gates"])
def test_directions_that_differ_run_in_loops_of_their_own(second: str) -> None:
    cells = {"wider": M.cell(5, 8), "other kind": M.cell(5, 4, kind="gru"), "other gates": M.cell(5, 4, HARD)}
    graph = ending(SEQUENCE, Recurrent("pair", M.cell(5, 4), cells[second]))
    assert loops(converted(graph, "float32")) == 2


@pytest.mark.parametrize(("recipe", "count"), [("dynamic", 1), ("float32", 2), ("float16", 2)])
def test_large_cells_run_in_loops_of_their_own(recipe: str, count: int) -> None:
    """Two directions of 640 kB in float32, which a small processor's cache does not hold."""
    graph = ending(SEQUENCE, Recurrent("pair", M.cell(5, 200), M.cell(5, 200)))
    assert loops(converted(graph, recipe)) == count


def loops(payload: bytes) -> int:
    return ops_of(payload).count("WHILE")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("kind", PRODUCTS)
def test_unrolled_steps_share_their_weights(kind: str, recipe: Recipe) -> None:
    recipe = replace(recipe, form="unrolled")
    (payload, model), (longer, _) = (pair(recipe, steps, kind) for steps in (10, 20))
    assert len(model.subgraphs) == 1
    assert ops(model)[0].count("FULLY_CONNECTED") == PRODUCTS[kind] * (2 + 2 * 9)  # none in a direction's first step
    weights = 16 * 64
    # Were the weights of a step stored anew, ten more steps in two directions would take at least this.
    assert sum(0 if buffer.data is None else len(buffer.data) for buffer in model.buffers) < 20 * weights
    assert len(longer) - len(payload) < 2 * 10 * 19 * 250  # ten more steps of 19 small ops in two directions


@pytest.mark.parametrize("kind", PRODUCTS)
def test_int8_directions_share_a_quantisation(kind: str) -> None:
    """CONCATENATION copies bytes."""
    _, model = pair(RECIPES["int8-full"], 5, kind)
    (main,) = model.subgraphs
    (join,) = (op for op in main.operators if NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] == "CONCATENATION")
    quantisations = {
        (float(main.tensors[index].quantization.scale[0]), int(main.tensors[index].quantization.zeroPoint[0]))
        for index in (*join.inputs, *join.outputs)
    }
    assert quantisations == {(1 / 128, 0)}
