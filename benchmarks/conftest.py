"""The models, artifacts and images of the suites. `pytest benchmarks` takes minutes, and hours with `--full`."""

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
    """Add the option `--full`."""
    parser.addoption(
        "--full", action="store_true", help=f"{FULL:,} fresh images of each preset instead of {SMALL}; more batch sizes"
    )


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Return whether `--full` was given."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files."""
    return tmp_path_factory.mktemp("benchmarks")


@dataclass(frozen=True)
class Project:
    """A model and all artifacts of it that this machine can make."""

    source: Model
    calibration: Calibrated
    artifacts: dict[str, Artifact]
    absent: dict[str, str]
    """The reasons why others are absent, by name."""
    trial: Callable[[], Trial]
    """Returns what Keras reads in fresh images, which the first call renders."""

    def artifact(self, name: str) -> Artifact:
        """Return the artifact of a name, or skip the test with the reason why it is absent."""
        if name in self.absent:
            pytest.skip(f"{name}: {self.absent[name]}")
        return self.artifacts[name]


@pytest.fixture(scope="session")
def project_of(work: Path, full: bool) -> Callable[[str], Project]:
    """Return a function that makes all artifacts of a model, by the model's name."""

    @functools.cache
    def make(name: str) -> Project:
        model = MODELS[name]
        source, calibration = opened(model.path, model.calibration)
        artifacts, absent = make_all(source, calibration, work)

        @functools.cache
        def fresh() -> Trial:
            return trial(source, load_groups(model.draw(work / "fresh", FULL if full else SMALL), source))

        return Project(source, calibration, artifacts, absent, fresh)

    return make


@pytest.fixture(scope="session")
def source(work: Path) -> Source:
    """Return the model and the images that the peers' files are made from."""
    plates = MODELS["plates"]
    return Source(plates.path, plates.calibration, work)


@pytest.fixture(scope="session")
def images() -> Callable[[str], Images]:
    """Return a function that loads the samples of a model, by its name, as an engine takes them."""

    @functools.cache
    def load(name: str) -> Images:
        model = MODELS[name]
        return images_of(load_labelled(model.samples, open_source(model.path).spec.alphabet))

    return load
