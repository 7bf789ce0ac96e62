"""`pytest benchmarks/test_peers.py`: time our engines and others; those that are absent are skipped, with the reason.

The engines run one after the other: take ratios from `benchmarks.peers`, which interleaves them. A time is that of a
call through a pipe, which adds about 0.1 ms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from edge_crnn.board.limits import usable_cores
from edge_crnn.dataset import load_labelled

from .models import MODELS
from .peers.engines import OURS, PEERS
from .peers.rounds import WARM_UP, Engine, Images, Worker
from .peers.source import Source
from .study import readings

_READ = 32
"""The number of plates that each engine reads: enough to show that it is the same network."""
_LEAST_RIGHT = 0.9


@pytest.fixture(scope="session")
def make(source: Source) -> Callable[[str], Engine]:
    """Return a function that makes an engine by its name, once."""
    return functools.cache(lambda name: {**OURS, **PEERS}[name](source))


@pytest.fixture
def worker(make: Callable[[str], Engine], images: Callable[[str], Images], name: str, threads: int) -> Iterator[Worker]:
    """Start the engine of a test, or skip the test with the reason why the engine is not installed."""
    try:
        engine = make(name)
        opened = Worker(engine, threads, images("plates")(engine.image)[:_READ])
    except ImportError as error:
        pytest.skip(f"{name}: {error}")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", [*OURS, *PEERS])
@pytest.mark.parametrize("threads", sorted({1, min(2, usable_cores())}))
def test_one_plate(
    benchmark: BenchmarkFixture, worker: Worker, source: Source, full: bool, name: str, threads: int
) -> None:
    """Time a call of an engine that reads the plates correctly."""
    plates = load_labelled(MODELS["plates"].samples, source.spec.alphabet).entries[:_READ]
    labels = readings(worker.infer_all(), source.spec).labels
    right = sum(label == plate.label for label, plate in zip(labels, plates, strict=True))
    benchmark.group = f"{threads} thread{'s' * (threads > 1)}"
    benchmark.extra_info.update(
        engine=name, threads=threads, file_bytes=worker.engine.file_bytes, load_ms=worker.load_ms,
        first_call_ms=worker.first_ms - worker.load_ms, right=right, images=len(plates),
    )  # fmt: skip
    rounds = 60 if full else 15
    benchmark.pedantic(worker.run, args=(1,), rounds=rounds, warmup_rounds=WARM_UP)  # type: ignore[no-untyped-call]
    assert right >= _LEAST_RIGHT * len(plates)
