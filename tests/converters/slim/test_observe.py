from __future__ import annotations

import numpy as np
import pytest

from converters.graph import nodes as n
from converters.graph import oracle
from converters.slim import observe as module
from converters.slim.observe import Moments, observe
from converters.slim.units import find_units
from tests.converters.graph.made import lstm, values
from tests.converters.slim import networks


def test_moments_of_parts_are_those_of_the_whole() -> None:
    random = np.random.default_rng(1)
    rows = (random.normal(size=(500, 4)) @ random.normal(size=(4, 4)) + 1000).astype(np.float32)
    moments = Moments()
    for start in range(0, 500, 20):
        moments.add(rows[start : start + 20])
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T.astype(np.float64), bias=True), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("is_drawn", [False, True])
def test_targets_and_moments_are_those_of_the_places(is_drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_drawn:
        monkeypatch.setattr(module, "ROWS", 20 * 10)
        monkeypatch.setattr(module, "PLACES", 1)
    random = np.random.default_rng(2)
    units = find_units(networks.plain((lstm(random, 6, 4), lstm(random, 6, 4))))
    images = values(random, 20, *networks.SHAPE)
    observation = observe(units, images)
    seen: dict[str, np.ndarray] = {}
    np.testing.assert_array_equal(
        oracle.run(units.graph, images, lambda *pair: seen.update([pair])), observation.output
    )
    for name, places in observation.places.items():
        node = units.graph.by_name[name]
        assert places.shape[1] == (10 if is_drawn and name in ("first", "second") else np.prod(seen[name].shape[1:-1]))
        assert len(np.unique(places)) == np.prod(seen[name].shape[1:-1])
        value = seen[name].reshape(20, -1, seen[name].shape[-1])
        expected = np.take_along_axis(value, places[..., None], axis=1).reshape(-1, value.shape[-1])
        target = observation.targets[name]
        relu = isinstance(node, n.Conv | n.Dense) and node.activation == "relu"
        np.testing.assert_allclose(np.maximum(target, 0) if relu else target, expected, atol=1e-5)
    if not is_drawn:
        (use,) = (use for use in observation.moments if use.node == "second")
        np.testing.assert_allclose(
            observation.moments[use].covariance, np.cov(seen["pool"].reshape(-1, 6).T, bias=True), atol=1e-5
        )


def test_a_recurrent_layer_uses_its_own_units_in_either_direction() -> None:
    random = np.random.default_rng(3)
    units = find_units(networks.plain((lstm(random, 6, 4), lstm(random, 6, 4))))
    by_place = {(use.group, use.node, use.part): use for use in module.uses(units)}
    assert {(group[0], node, part) for group, node, part in by_place} == {
        ("first", "second", "input"), ("second", "narrow", "input"), ("narrow", "recurrent", "input"),
        ("recurrent", "recurrent", "forward"), ("recurrent", "recurrent", "backward"),
        ("recurrent", "classes", "input"),
    }  # fmt: skip
    assert by_place[("recurrent",), "recurrent", "backward"].members.tolist() == [4, 5, 6, 7]
    assert by_place[("second",), "narrow", "input"].columns.shape == (4, 4)
