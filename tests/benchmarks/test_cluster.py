from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cluster import Cluster, Job, duration_s, efficiency, limit

IDEAL = Cluster(4, 0.01, 10_000, start_s=0, driver_s=0, part_s=0, storage_bytes_s=math.inf, spread=0)


def test_an_ideal_cluster_wastes_nothing() -> None:
    assert efficiency(IDEAL, Job(64 * 1000, 100)) == pytest.approx(1)


def test_the_last_part_is_waited_for() -> None:
    assert duration_s(IDEAL, Job(65 * 100, 100)) == pytest.approx(2)
    assert duration_s(IDEAL, Job(64 * 100 + 1, 100)) == pytest.approx(1.01)


@pytest.mark.parametrize(
    ("changes", "work", "cause"),
    [
        ({}, Job(1000, 100), "too few parts"),
        ({"part_s": 10.0}, Job(64 * 1000, 100), "writing the parts"),
        ({"driver_s": 1.0}, Job(64 * 1000, 100), "driver"),
        ({"storage_bytes_s": 1e6}, Job(64 * 1000, 100), "storage"),
        ({"start_s": 1000.0}, Job(64 * 1000, 100), "start of the readers"),
    ],
)
def test_the_cause_is_named(changes: dict[str, float], work: Job, cause: str) -> None:
    assert limit(replace(IDEAL, **changes), work) == cause  # type: ignore[arg-type]


@given(st.integers(1, 8), st.integers(1, 5000), st.integers(1, 200))
def test_no_cluster_is_faster_than_its_cores_and_its_storage(nodes: int, images: int, part: int) -> None:
    cluster = replace(IDEAL, nodes=nodes, storage_bytes_s=1e8, driver_s=0.001)
    shortest = max(images * 0.01 / (16 * nodes), images * 1e4 / 1e8, math.ceil(images / part) * 0.001)
    assert duration_s(cluster, Job(images, part)) >= shortest - 1e-9
