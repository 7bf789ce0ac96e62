"""What the suites measure, made once a session: `pytest benchmarks` takes minutes, `--full` is meant in earnest."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.pipeline import Source as Model
from converters.pipeline import open_source
from edge_crnn.dataset import load_labelled
from edge_crnn.model.artifact import Artifact

from .accuracy import Trial, load_groups, trial
from .artifacts import Calibrated, make_all, opened
from .models import FULL, MODELS, SMALL
from .peers.rounds import Images
from .peers.source import Source
from .study import images_of


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`."""
    parser.addoption(
        "--full", action="store_true", help=f"{FULL:,} fresh images of each preset instead of {SMALL}; more batch sizes"
    )


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether it is meant in earnest."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files."""
    return tmp_path_factory.mktemp("benchmarks")


@dataclass(frozen=True)
class Made:
    """A model and all artifacts of it that this machine can make."""

    source: Model
    calibration: Calibrated
    artifacts: dict[str, Artifact]
    absent: dict[str, str]
    """Why there are no others."""
    trial: Callable[[], Trial]
    """What Keras reads in fresh images, which are drawn when it is first asked for."""

    def artifact(self, name: str) -> Artifact:
        """By name; where it is absent, the test is skipped, and says why."""
        if name in self.absent:
            pytest.skip(f"{name}: {self.absent[name]}")
        return self.artifacts[name]


@pytest.fixture(scope="session")
def made(work: Path, full: bool) -> Callable[[str], Made]:
    """A model by name, with all of its artifacts."""

    @functools.cache
    def make(name: str) -> Made:
        model = MODELS[name]
        source, calibration = opened(model.path, model.calibration)
        artifacts, absent = make_all(source, calibration, work)

        @functools.cache
        def held() -> Trial:
            return trial(source, load_groups(model.draw(work / "fresh", FULL if full else SMALL), source))

        return Made(source, calibration, artifacts, absent, held)

    return make


@pytest.fixture(scope="session")
def source(work: Path) -> Source:
    """What the peers' files are made of."""
    plates = MODELS["plates"]
    return Source(plates.path, plates.calibration, work)


@pytest.fixture(scope="session")
def images() -> Callable[[str], Images]:
    """The samples of a model by its name, as an engine takes them."""

    @functools.cache
    def load(name: str) -> Images:
        model = MODELS[name]
        return images_of(load_labelled(model.samples, open_source(model.path).spec.alphabet))

    return load
