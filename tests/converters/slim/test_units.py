from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.graph import INPUT, Graph
from converters.slim.units import FIXED, Units, find_units
from tests.budget import examples
from tests.converters.graph.made import KINDS, affine, conv, gru, lstm, random_graph, values

ROWS, COLUMNS = 6, 5
MIXING = (n.Conv, n.ConvTranspose, n.Dense, n.Recurrent)
"""Nodes whose elements are sums over channels."""


def masked_run(units: Units, removed: Collection[int], images: np.ndarray) -> dict[str, np.ndarray]:
    """Run the whole graph, in which removed units contribute nothing: the slow reference of `Units.without`."""
    computed = {INPUT: images}
    for node in units.graph.nodes:
        inputs = [computed[name] for name in node.inputs]
        if isinstance(node, MIXING):
            inputs = [
                np.where(np.isin(units.numbers[name], list(removed)), np.float32(0), value)
                for name, value in zip(node.inputs, inputs, strict=True)
            ]
        if isinstance(node, n.Recurrent):
            node = _without_feedback(node, np.isin(units.numbers[node.name][0], list(removed)))
        computed[node.name] = oracle.evaluate(node, inputs)
    return computed


def _without_feedback(node: n.Recurrent, is_removed: np.ndarray) -> n.Recurrent:
    cells = {}
    start = 0
    for direction, cell in node.cells:
        mine = is_removed[start : start + cell.units]
        cells[direction] = replace(cell, recurrent=np.where(mine[:, None], np.float32(0), cell.recurrent))
        start += cell.units if node.merge == "concat" else 0
    return replace(node, **cells)  # type: ignore[arg-type]


def assert_thins(units: Units, removed: Collection[int], seed: int = 0) -> Graph:
    """Check that a graph without units computes what the masked graph computes in the elements that are left."""
    thinned = units.without(removed)
    images = values(np.random.default_rng(seed), 2, *units.graph.input_shape)
    expected = masked_run(units, removed, images)
    seen: dict[str, np.ndarray] = {}
    oracle.run(thinned, images, lambda name, value: seen.update({name: value}))
    for node in units.graph.nodes:
        kept = [units.places(node.name, axis, removed) for axis in range(units.numbers[node.name].ndim)]
        assert thinned.shapes[node.name] == tuple(map(len, kept))
        expected_value = expected[node.name][(slice(None), *np.ix_(*kept))]
        np.testing.assert_allclose(seen[node.name], expected_value, atol=1e-3, rtol=1e-3)
    return thinned


@pytest.mark.thorough
@settings(deadline=None, max_examples=examples(150))
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12), st.integers(0, 2**32 - 1), st.data())
def test_what_is_left_computes_as_before(kinds: Sequence[str], seed: int, data: st.DataObject) -> None:
    units = find_units(random_graph(kinds, seed))
    groups = [numbers for numbers in units.groups.values() if len(numbers) > 1]
    assume(groups)
    removed = {number for numbers in groups for number in data.draw(st.sets(st.sampled_from(numbers[1:])))}
    assert_thins(units, removed, seed)


def units_of(*nodes: n.Node) -> Units:
    return find_units(Graph.chain((ROWS, COLUMNS, 4), nodes))


def test_every_channel_is_a_unit_and_the_classes_are_fixed() -> None:
    random = np.random.default_rng(1)
    units = units_of(
        replace(conv(random, 4, 6), name="a"),
        affine(random, 6),
        replace(conv(random, 6, 3), name="b"),
        n.Reshape("flat", ((ROWS - 4), (COLUMNS - 2) * 3)),
        n.Dense("d", values(random, 9, 5), values(random, 5)),
        n.Softmax("s"),
    )
    assert {names: len(numbers) for names, numbers in units.groups.items()} == {("a",): 6, ("b",): 3}
    removed = {units.groups["a",][1], units.groups["b",][0]}
    thinned = assert_thins(units, removed)
    assert thinned.by_name["b"].weights[0].shape == (3, 2, 5, 2)
    assert thinned.by_name["d"].weights[0].shape == (6, 5)


def test_a_residual_sum_joins_channels() -> None:
    random = np.random.default_rng(2)
    same = ((1, 1), (0, 1))
    units = find_units(
        Graph(
            (ROWS, COLUMNS, 4),
            (
                replace(conv(random, 4, 6, pads=same), name="a", inputs=(INPUT,)),
                replace(conv(random, 6, 8, pads=same), name="inner", inputs=("a",)),
                replace(conv(random, 8, 6, pads=same), name="b", inputs=("inner",)),
                n.Binary("sum", "add", inputs=("a", "b")),
                replace(conv(random, 6, 3), name="c", inputs=("sum",)),
                n.Softmax("s", inputs=("c",)),
            ),
        )
    )
    assert {names: len(numbers) for names, numbers in units.groups.items()} == {("a", "b"): 6, ("inner",): 8}
    assert_thins(units, {units.groups["a", "b"][2], units.groups["inner",][0]})


@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("cell", [lstm, gru])
def test_recurrent_units_go_with_their_gates(cell: object, merge: n.Merge) -> None:
    random = np.random.default_rng(3)
    units = units_of(
        n.Reshape("steps", (ROWS, COLUMNS * 4)),
        n.Recurrent("r", cell(random, 20, 5), cell(random, 20, 5), merge),  # type: ignore[operator]
        n.Dense("d", values(random, 10 if merge == "concat" else 5, 3), values(random, 3)),
        n.Softmax("s"),
    )
    numbers = units.groups["r",]
    assert len(numbers) == (10 if merge == "concat" else 5)
    thinned = assert_thins(units, {numbers[0], numbers[-1]})
    assert [c.units for _, c in thinned.by_name["r"].cells] == ([4, 4] if merge == "concat" else [3, 3])  # type: ignore[attr-defined]


def test_a_map_that_weighs_all_channels_alike_is_fixed() -> None:
    random = np.random.default_rng(4)
    units = find_units(
        Graph(
            (ROWS, COLUMNS, 4),
            (
                replace(conv(random, 4, 6), name="a", inputs=(INPUT,)),
                n.Dense("map", values(random, 6, 1), values(random, 1), inputs=("a",)),
                n.Binary("weighed", "multiply", inputs=("a", "map")),
                replace(conv(random, 6, 3), name="c", inputs=("weighed",)),
                n.Softmax("s", inputs=("c",)),
            ),
        )
    )
    assert list(units.groups) == [("a",)]
    assert (units.numbers["map"] == FIXED).all()
    assert_thins(units, set(units.groups["a",][:3]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_concatenation_joins_what_lies_side_by_side(axis: int) -> None:
    random = np.random.default_rng(6)
    units = find_units(
        Graph(
            (ROWS, COLUMNS, 4),
            (
                n.Dense("a", values(random, 4, 3), values(random, 3), inputs=(INPUT,)),
                n.Dense("b", values(random, 4, 3), values(random, 3), inputs=(INPUT,)),
                n.Concat("both", axis, inputs=("a", "b")),
                n.Dense("c", values(random, 6 if axis == 2 else 3, 5), values(random, 5), inputs=("both",)),
                n.Softmax("s", inputs=("c",)),
            ),
        )
    )
    assert list(units.groups) == ([("a",), ("b",)] if axis == 2 else [("a", "b")])
    assert_thins(units, {numbers[1] for numbers in units.groups.values()})


def test_units_without_which_a_hole_would_be_left_are_fixed() -> None:
    """A reshape gives the channels two axes; they shrink only if the units along one of them go together."""
    random = np.random.default_rng(7)
    apart = [replace(conv(random, 4, 6), name="a"), n.Reshape("apart", (4, 4, 2, 3))]
    shuffled = [n.Permute("turned", (0, 1, 3, 2)), n.Reshape("map", (4, 4, 6))]
    gated = [
        n.Slice("first", (0, 0, 0, 0), (4, 4, 1, 3), (1, 1, 1, 1), inputs=("apart",)),
        n.Slice("second", (0, 0, 1, 0), (4, 4, 2, 3), (1, 1, 1, 1), inputs=("apart",)),
        n.Binary("product", "multiply", inputs=("first", "second")),
        n.Reshape("map", (4, 4, 3)),
    ]
    ends = {width: [n.Dense("d", values(random, width, 3), values(random, 3)), n.Softmax("s")] for width in (3, 6)}
    assert not units_of(*apart, *shuffled, *ends[6]).groups
    units = units_of(*apart, *gated, *ends[3])
    assert {names: len(numbers) for names, numbers in units.groups.items()} == {("a",): 3}
    assert_thins(units, {units.groups["a",][0]})


def test_units_that_a_constant_of_another_shape_or_every_other_place_needs_are_fixed() -> None:
    random = np.random.default_rng(8)
    whole = (4, 4, 2, 3)
    halves = [
        n.Slice(f"half {half}", (0, 0, half, 0), (4, 4, half + 1, 3), (1, 1, 1, 1), inputs=("weighed",))
        for half in range(2)
    ]
    first = [replace(conv(random, 4, 6), name="a"), n.Reshape("apart", whole)]
    constant = n.Constant("constant", values(random, 1, 1, 1, 3))
    weighed = n.Binary("weighed", "multiply", inputs=("apart", "constant"))
    product = [n.Binary("product", "multiply", inputs=("half 0", "half 1")), n.Reshape("map", (4, 4, 3))]
    last = [n.Dense("d", values(random, 3, 3), values(random, 3)), n.Softmax("s")]
    assert not units_of(*first, constant, weighed, *halves, *product, *last).groups
    every_other = n.Slice("every other", (0, 0, 0), (4, 4, 6), (1, 1, 2))
    assert not units_of(first[0], every_other, *last).groups


def test_fixed_elements_and_whole_values_are_refused() -> None:
    random = np.random.default_rng(5)
    units = units_of(replace(conv(random, 4, 2), name="a"), replace(conv(random, 2, 3), name="b"), n.Softmax("s"))
    with pytest.raises(ValueError, match="fixed"):
        units.without({FIXED})
    with pytest.raises(ValueError, match="nothing would be left of 'a'"):
        units.without(set(units.groups["a",]))
