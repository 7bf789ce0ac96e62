from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.graph import oracle
from converters.graph.equalise import equalised
from converters.graph.graph import INPUT, Graph
from converters.graph.nodes import Binary, Conv, Pad, Pool


def conv(name: str, before: str, inside: int, out: int, seed: int, activation: str = "relu", groups: int = 1) -> Conv:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(3, 3, inside // groups, out)).astype(np.float32)
    bias = rng.normal(size=out).astype(np.float32)
    return Conv(name, kernel, bias, inputs=(before,), pads=((1, 1), (1, 1)), groups=groups, activation=activation)  # type: ignore[arg-type]


def unbalanced(first: Conv, second: Conv, exponents: np.ndarray) -> tuple[Conv, Conv]:
    """Multiply the channels between two convolutions by powers of two."""
    scales = np.exp2(exponents).astype(np.float32)
    return (
        replace(first, kernel=first.kernel * scales, bias=first.bias * scales),
        replace(second, kernel=second.kernel / scales[:, None]),
    )


def run(graph: Graph, seed: int = 7) -> np.ndarray:
    images = np.random.default_rng(seed).normal(size=(3, *graph.input_shape)).astype(np.float32)
    return np.asarray(oracle.run(graph, images))


def weights(graph: Graph, name: str) -> np.ndarray:
    node = graph.by_name[name]
    assert isinstance(node, Conv)
    return node.kernel


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-12, 12), min_size=6, max_size=6),
    st.sampled_from(["none", "max", "average", "pad"]),
    st.integers(0, 1000),
)
def test_no_result_changes_by_a_bit(exponents: list[int], between: str, seed: int) -> None:
    first, second = unbalanced(
        conv("first", INPUT, 2, 6, seed), conv("second", "first", 6, 4, seed + 1), np.array(exponents, float)
    )
    middle = {
        "none": [],
        "max": [Pool("middle", "max", (2, 2), (2, 2), inputs=("first",))],
        "average": [Pool("middle", "average", (2, 2), (2, 2), inputs=("first",))],
        "pad": [Pad("middle", ((1, 1), (0, 0), (0, 0)), inputs=("first",))],
    }[between]
    if middle:
        second = replace(second, inputs=("middle",))
    graph = Graph((8, 10, 2), (first, *middle, second))
    result = equalised(graph)
    np.testing.assert_array_equal(run(result), run(graph))
    ratios = [np.abs(weights(some, "second")).max((0, 1, 3)) for some in (graph, result)]
    assert np.ptp(np.log2(ratios[1])) <= max(np.ptp(np.log2(ratios[0])), 3.0)


def test_an_imbalance_of_powers_of_two_is_undone() -> None:
    even = conv("first", INPUT, 2, 6, 1), conv("second", "first", 6, 4, 2)
    graph = Graph((8, 10, 2), unbalanced(*even, np.array([0, 5, -5, 3, 0, -3])))
    kernel = weights(equalised(graph), "second")
    assert np.ptp(np.log2(np.abs(kernel).max((0, 1, 3)))) < 3


def test_a_channel_without_weights_stays() -> None:
    first, second = conv("first", INPUT, 2, 6, 1), conv("second", "first", 6, 4, 2)
    first.kernel[..., 0] = first.bias[0] = 0
    second.kernel[:, :, 1] = 0
    graph = Graph((8, 10, 2), (first, second))
    np.testing.assert_array_equal(run(equalised(graph)), run(graph))


SHAPE = (8, 10, 2)


@pytest.mark.parametrize(
    "nodes",
    [
        (conv("a", INPUT, 2, 6, 1, "relu6"), conv("b", "a", 6, 4, 2)),
        (conv("a", INPUT, 2, 6, 1), conv("b", "a", 6, 6, 2, groups=6)),
        (conv("a", INPUT, 2, 6, 1), Pad("p", ((1, 1), (1, 1), (0, 0)), 1.0, inputs=("a",)), conv("b", "p", 6, 4, 2)),
        (conv("a", INPUT, 2, 6, 1), conv("b", "a", 6, 6, 2), Binary("sum", "add", inputs=("a", "b"))),
    ],
    ids=["relu6", "depthwise", "padded-with-ones", "used-twice"],
)
def test_what_does_not_commute_stays(nodes: tuple[Conv, ...]) -> None:
    graph = Graph(SHAPE, nodes)
    for node in equalised(graph).nodes:
        for mine, other in zip(node.weights, graph.by_name[node.name].weights, strict=True):
            np.testing.assert_array_equal(mine, other)
