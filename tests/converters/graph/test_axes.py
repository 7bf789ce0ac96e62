from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph.axes import _reshaped, step_axis
from converters.graph.cost import multiplications
from converters.graph.graph import INPUT, Graph

from .made import gru, lstm, values

RANDOM = np.random.default_rng(3)
MAP = (12, 8, 2)
"""The first axis is a little longer than the second."""


def head(width: int) -> list[n.Node]:
    return [
        n.Recurrent("pair", lstm(RANDOM, width, 3), lstm(RANDOM, width, 3)),
        n.Dense("dense", values(RANDOM, 6, 5), values(RANDOM, 5)),
        n.Softmax("softmax"),
    ]


ALONG = {
    "columns first": ([n.Reshape("r", (12, 16)), *head(16)], 0),
    "rows first": ([n.Permute("p", (1, 0, 2)), n.Reshape("r", (8, 24)), *head(24)], 1),
    "convolution and pool": (
        [
            n.Conv("c", values(RANDOM, 3, 3, 2, 4), values(RANDOM, 4), pads=((1, 1), (1, 1))),
            n.Pool("m", "max", (2, 8), (2, 8)),
            n.Reshape("squeeze", (6, 4)),
            *head(4),
        ],
        0,
    ),
    "mean over rows": ([n.Reduce("mean", "mean", (0,)), *head(2)], 1),
    "channels first": (
        [n.Permute("first", (2, 0, 1)), n.Permute("p", (2, 0, 1)), n.Reshape("r", (8, 24)), *head(24)],
        1,
    ),
    "split before it is merged": ([n.Reshape("s", (4, 3, 16)), n.Reshape("r", (12, 16)), *head(16)], 0),
    "turned and cut": (
        [n.Reverse("t", 0), n.Slice("s", (2, 0, 0), (12, 8, 2), (1, 1, 1)), n.Reshape("r", (10, 16)), *head(16)],
        0,
    ),
    "both": ([n.Reshape("r", (96, 2)), *head(2)], None),
    "neither": ([n.Reshape("r", (1, 192)), *head(192)], None),
    "of channels": ([n.Permute("p", (2, 0, 1)), n.Reshape("r", (2, 96)), *head(96)], None),
}


@pytest.mark.parametrize(("nodes", "axis"), ALONG.values(), ids=ALONG)
def test_the_axis_that_becomes_the_steps(nodes: list[n.Node], axis: int | None) -> None:
    graph = Graph.chain(MAP, nodes)
    assert len(graph.output_shape) == 2
    assert step_axis(graph) == axis


def test_attention_between_steps() -> None:
    """A step depends on all other steps, but keeps its position."""
    nodes = (
        n.Reshape("steps", (12, 16), inputs=(INPUT,)),
        n.MatMul("scores", transposed=True, inputs=("steps", "steps")),
        n.Softmax("weights", inputs=("scores",)),
        n.MatMul("heard", inputs=("weights", "steps")),
        n.Binary("sum", "add", inputs=("heard", "steps")),
    )
    assert step_axis(Graph(MAP, nodes)) == 0


def test_channels_weighed_by_the_whole_map() -> None:
    """An axis of length 1 has no positions, so its origin does not matter."""
    nodes = (
        n.Reduce("mean", "mean", (0, 1), keepdims=True, inputs=(INPUT,)),
        n.Reshape("turned", (1, 1, 2), inputs=("mean",)),
        n.Binary("weighed", "multiply", inputs=(INPUT, "turned")),
        n.Constant("position", values(RANDOM, 12, 1, 1)),
        n.Binary("placed", "add", inputs=("weighed", "position")),
        n.Concat("both", 2, inputs=("placed", INPUT)),
        n.Reshape("steps", (12, 32), inputs=("both",)),
    )
    assert step_axis(Graph(MAP, nodes)) == 0


@given(st.data())
def test_reshape_against_the_positions_themselves(data: st.DataObject) -> None:
    before = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    after = _drawn_shape(data, math.prod(before))
    origins = tuple(frozenset({axis}) for axis in range(len(before)))
    axes = _reshaped(origins, before, after)
    assert len(axes) == len(after)
    for target, made_of in enumerate(axes):
        # The positions along an axis of the result, with all other axes held still, differ in these axes of the source.
        differ = {
            axis for axis in range(len(before)) if np.ptp(np.indices(before)[axis].reshape(after), axis=target).any()
        }
        assert differ <= made_of
        if len(after) == 1 or after == before:
            assert differ == made_of


def _drawn_shape(data: st.DataObject, size: int) -> tuple[int, ...]:
    shape: list[int] = []
    while size > 1 and len(shape) < 4:
        factor = data.draw(st.sampled_from([number for number in range(1, size + 1) if size % number == 0]))
        shape.append(factor)
        size //= factor
    return (*shape, size)


def test_multiplications() -> None:
    kernel = values(RANDOM, 3, 2, 1, 4)
    graph = Graph.chain(
        MAP,
        (
            n.Conv("depthwise", kernel, values(RANDOM, 4), pads=((1, 1), (0, 1)), groups=2),
            n.ConvTranspose("up", values(RANDOM, 2, 2, 4, 3), values(RANDOM, 3), (2, 2)),
            n.Pool("pool", "max", (2, 2), (2, 2)),
            n.Reshape("steps", (12, 24)),
            n.Recurrent("gru", gru(RANDOM, 24, 5), None),
            n.Dense("dense", values(RANDOM, 5, 7), values(RANDOM, 7)),
            n.Softmax("softmax"),
        ),
    )
    expected = [12 * 8 * 4 * (3 * 2), 12 * 8 * (2 * 2 * 4 * 3), 12 * (24 * 15 + 5 * 15), 12 * 5 * 7]
    assert multiplications(graph) == sum(expected)
