"""Every element-wise function in every precision against the oracle, run by LiteRT."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from converters.graph import nodes as g
from converters.graph import oracle
from converters.graph.graph import Graph
from tests.converters.tflite.running import close, converted, run, seen, tensors_of, value_of

FUNCTIONS = [
    *((name, 0.0) for name in get_args(g.Function) if name != "elu"),
    *(("elu", alpha) for alpha in (0.3, 1.0, 2.0)),
]
FUNCTIONS += [("leaky_relu", alpha) for alpha in (-0.5, 0.2, 1.7)]
FLOAT = {
    **dict.fromkeys(("log", "mish", "rsqrt", "selu", "softplus", "softsign", "sqrt"), ("int8", "int8-full")),
    **dict.fromkeys(("abs", "hard_silu", "relu", "relu6"), ("int8",)),
}
"""Function → recipes in which it is float32."""
every_function = pytest.mark.parametrize(("function", "alpha"), FUNCTIONS)


def of_function(function: str, alpha: float) -> tuple[Graph, np.ndarray]:
    low = 0.05 if function in ("log", "rsqrt", "sqrt") else -9
    images = np.linspace(low, 9, 4 * 60, dtype=np.float32).reshape(4, 5, 4, 3)
    return Graph.chain((5, 4, 3), [g.Unary("node", function, alpha)]), np.random.default_rng(0).permuted(images, axis=0)  # type: ignore[arg-type]


@every_function
@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic"])
def test_functions(function: str, alpha: float, recipe: str) -> None:
    graph, images = of_function(function, alpha)
    close(run(converted(graph, recipe), images), oracle.run(graph, images))


@every_function
@pytest.mark.parametrize("recipe", ["int8", "int8-full"])
def test_functions_in_int8(recipe: str, function: str, alpha: float) -> None:
    graph, images = of_function(function, alpha)
    images, ranges = seen(graph, images)
    payload = converted(graph, recipe, ranges)
    if function == "linear":
        assert not {"linear", "node"} & tensors_of(payload).keys()
        return
    values, quantisation = value_of(payload, images, "node")
    expected = oracle.run(graph, images)
    assert (quantisation is not None) == (
        recipe not in FLOAT.get(function, ()) and not (function == "elu" and alpha != 1)
    )
    if quantisation is None:
        close(values, expected)
    else:
        allowed = 2 if function == "silu" or function.startswith("hard_sigmoid") else 1.01  # one op, or two
        np.testing.assert_allclose(values, expected, atol=allowed * quantisation.scale, rtol=0)
