"""`pytest benchmarks/test_throughput.py`: time each artifact of both models, by images per call and threads.

The time is that of a call in the steady state, in a process of its own. `extra_info` holds the times of loading and of
the first call there. `benchmarks.throughput` compares one engine per core with one engine on all cores.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from converters.recipe import RECIPES
from edge_crnn.board.limits import usable_cores

from .artifacts import NAMES, tflite
from .conftest import Project
from .models import MODELS
from .peers.rounds import WARM_UP, Engine, Images, Worker
from .peers.source import open_ours

SMALL, FULL = (1,), (1, 8, 32)
"""The numbers of images per call, without and with `--full`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the numbers of images per call by `--full`."""
    metafunc.parametrize("batch", FULL if metafunc.config.getoption("--full") else SMALL)


@pytest.mark.parametrize("threads", sorted({1, usable_cores()}))
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", MODELS)
def test_a_call(
    benchmark: BenchmarkFixture,
    project_of: Callable[[str], Project],
    images: Callable[[str], Images],
    work: Path,
    full: bool,
    model: str,
    name: str,
    batch: int,
    threads: int,
) -> None:
    """Time the inference alone."""
    project = project_of(model)
    artifact = project.artifact(name)
    if name in RECIPES and batch > 1:  # a .tflite takes only the number of images that it was made for
        path = work / f"{model}-{name}-{batch}.tflite"
        artifact = tflite(project.source, project.calibration, RECIPES[name], path, batch)
    engine = Engine(name, open_ours, artifact.path, artifact.spec.input, len(artifact.payload), ours=True, batch=batch)
    worker = Worker(engine, threads, images(model)(engine.image))
    try:
        benchmark.group = f"{model}, {batch} at a time, {threads} thread{'s' * (threads > 1)}"
        rounds = 60 if full else 15
        benchmark.extra_info.update(
            artifact=name, images_a_call=batch, threads=threads, load_ms=worker.load_ms,
            first_call_ms=worker.first_ms - worker.load_ms, file_bytes=engine.file_bytes,
        )  # fmt: skip
        benchmark.pedantic(worker.run, args=(1,), rounds=rounds, warmup_rounds=WARM_UP)  # type: ignore[no-untyped-call]
    finally:
        worker.close()
