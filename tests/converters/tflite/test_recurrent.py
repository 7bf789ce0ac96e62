"""The form of recurrent layers in the file; what they compute is held to the oracle in test_to_tflite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.graph.layers import Activation, Graph, GruCell, LstmCell, Recurrent
from converters.graph.ranges import calibrate
from converters.recipe import RECIPES, Recipe
from converters.tflite.to_tflite import to_tflite

NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


PRODUCTS = {"lstm": 1, "gru": 2}
"""In a step, and as many outside of the loop."""


def converted(recipe: Recipe, steps: int, kind: str = "lstm") -> tuple[bytes, schema.ModelT]:
    random = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype(np.float32)

    first, second = (
        LstmCell(some(8, 64), some(16, 64), some(64))
        if kind == "lstm"
        else GruCell(some(8, 48), some(16, 48), some(48), some(16))
        for _ in range(2)
    )
    graph = Graph((steps, 8), (Recurrent("pair", first, second), Activation("softmax", "softmax")))
    ranges = calibrate(graph, [random.uniform(-1, 1, (4, steps, 8)).astype(np.float32)])
    payload = to_tflite(graph, _Own(steps), recipe, ranges)  # type: ignore[arg-type]
    return payload, schema.ModelT.InitFromPackedBuf(payload, 0)


class _Own:
    dtype = "float32"

    def __init__(self, steps: int) -> None:
        self.shape = (steps, 8)


def ops(model: schema.ModelT) -> list[list[str]]:
    return [
        [NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] for op in each.operators] for each in model.subgraphs
    ]


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic", "int8"])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_loop_is_one_body_per_direction_of_any_length(kind: str, recipe: str) -> None:
    """The input's products are outside, and the step's own products once in the body."""
    short, long = (converted(RECIPES[recipe], steps, kind)[1] for steps in (4, 40))
    assert ops(short) == ops(long)
    main, *inner = ops(long)
    assert main.count("WHILE") == 2
    assert main.count("FULLY_CONNECTED") == 2 * PRODUCTS[kind]
    assert [each.count("FULLY_CONNECTED") for each in inner] == [0, PRODUCTS[kind]] * 2
    assert [len(each) for each in inner[::2]] == [1, 1]  # a condition does nothing but compare


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("kind", PRODUCTS)
def test_unrolled_steps_share_their_weights(kind: str, recipe: Recipe) -> None:
    recipe = replace(recipe, form="unrolled")
    (payload, model), (longer, _) = (converted(recipe, steps, kind) for steps in (10, 20))
    assert len(model.subgraphs) == 1
    assert ops(model)[0].count("FULLY_CONNECTED") == PRODUCTS[kind] * (2 + 2 * 9)  # none in a direction's first step
    weights = 16 * 64
    # Were the weights of a step stored anew, ten more steps in two directions would take at least this.
    assert sum(0 if each.data is None else len(each.data) for each in model.buffers) < 20 * weights
    assert len(longer) - len(payload) < 2 * 10 * 19 * 250  # ten more steps of 19 small ops in two directions


@pytest.mark.parametrize("kind", PRODUCTS)
def test_int8_directions_share_a_quantisation(kind: str) -> None:
    """CONCATENATION copies bytes."""
    _, model = converted(RECIPES["int8-full"], 5, kind)
    (main,) = model.subgraphs
    (join,) = (op for op in main.operators if NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] == "CONCATENATION")
    found = {
        (float(main.tensors[index].quantization.scale[0]), int(main.tensors[index].quantization.zeroPoint[0]))
        for index in (*join.inputs, *join.outputs)
    }
    assert found == {(1 / 128, 0)}
