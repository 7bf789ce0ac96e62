"""Files for the timed engines, made once a session, and a worker for each of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_crnn.dataset import load_labelled

from .engines import OURS, PEERS, Source
from .rounds import Engine, Images, Worker
from .study import images_of


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """What all files are made of."""
    work = tmp_path_factory.mktemp("engines")
    return Source(Path("models/plates.keras"), Path("samples/calibration"), work)


@pytest.fixture(scope="session")
def images(source: Source) -> Images:
    """The plates that are timed."""
    return images_of(load_labelled(Path("samples/plates"), source.spec.alphabet))


@pytest.fixture(scope="session")
def make(source: Source) -> Callable[[str], Engine]:
    """An engine by name, its file made once."""
    return functools.cache(lambda name: {**OURS, **PEERS}[name](source))


@pytest.fixture
def worker(make: Callable[[str], Engine], images: Images, name: str, threads: int) -> Iterator[Worker]:
    """The engine that the test names, running; skipped, with the reason, where it is not installed."""
    try:
        engine = make(name)
        opened = Worker(engine, threads, images(engine.image))
    except ImportError as error:
        pytest.skip(f"{name}: {error}")
    yield opened
    opened.close()
