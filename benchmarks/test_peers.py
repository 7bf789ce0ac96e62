"""The peers under pytest-benchmark: `pytest benchmarks/test_peers.py`.

One engine after the other, so that ratios are better taken from `benchmarks.peers`, which interleaves them. Times are
of one call through a pipe, about 0.1 ms more than the engine takes.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .engines import OURS, PEERS
from .rounds import WARM_UP, Worker


@pytest.mark.parametrize("name", [*OURS, *PEERS])
@pytest.mark.parametrize("threads", [1, 2])
def test_one_plate(benchmark: BenchmarkFixture, worker: Worker, name: str, threads: int) -> None:
    """One call."""
    benchmark.group = f"{threads} thread{'s' * (threads > 1)}"
    benchmark.extra_info.update(engine=name, file_bytes=worker.engine.file_bytes)
    benchmark.pedantic(worker.run, args=(1,), rounds=60, warmup_rounds=WARM_UP)  # type: ignore[no-untyped-call]
