"""Tiny seeded CRNNs: saved by real Keras, or converted from a graph built by hand.

Only the fixtures of Keras models import TensorFlow, which takes seconds.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from converters.graph import nodes as g
from converters.graph.cells import LstmCell
from converters.graph.graph import Graph
from edge_crnn.backends.tensorrt import cuda
from edge_crnn.model.artifact import save, sidecar
from edge_crnn.model.spec import Calibration, InputSpec, ModelSpec, OutputSpec
from edge_crnn.preprocess import preprocess
from tests.variants import VARIANTS

# A pytest started in the background of a script, or with nohup, ignores Ctrl-C or the end of the terminal, and would
# pass that on to all processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The workers of pytest-xdist already keep all cores busy. TensorFlow reads this when it is imported.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# The number of examples of property tests: in the fast run and on further Pythons, in `make test`, in `make test-slow`.
# Tests that set their own number take the same share by `tests.budget`. A deadline would fail where cores are busy.
settings.register_profile("brief", max_examples=10, deadline=None)
settings.register_profile("ordinary", max_examples=50, deadline=None)
settings.register_profile("whole", max_examples=100, deadline=None)
settings.load_profile("ordinary")

TINY = ModelSpec(
    name="tiny",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=16, classes=11),
    skip_steps=2,
)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests away from the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_CRNN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def keras() -> Any:
    """Import Keras on TensorFlow, or skip the test where they are not installed."""
    for module in ("h5py", "tensorflow"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; it comes with edge-crnn[convert]")
    from converters.reference.keras import import_keras

    return import_keras()[1]


@pytest.fixture(scope="session")
def tiny_keras(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small plate network, from 32×16 pixels to 16 steps of 11 classes, with its spec beside it."""
    return _saved(keras, "plates", tmp_path_factory.mktemp("tiny") / "tiny.keras")


@pytest.fixture(scope="session")
def tiny_h5(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the model of `tiny_keras` as whole-model HDF5."""
    return _saved(keras, "plates", tmp_path_factory.mktemp("tiny") / "tiny.h5")


@pytest.fixture(scope="session")
def tiny_images() -> np.ndarray:
    """Return soft blobs with different texts for `tiny_keras`, (16, 32, 16, 1) float32 in [-1, 1], width first."""
    grid = np.random.default_rng(1).uniform(-1, 1, (16, 9, 5, 1))
    return np.repeat(np.repeat(grid, 4, axis=1), 4, axis=2)[:, 2:34, 2:18].astype(np.float32)


@pytest.fixture(scope="session")
def tiny_graph() -> Graph:
    """Return a small folded CRNN with the input and the output of `TINY`, made without TensorFlow."""
    random = np.random.default_rng(15)

    def weights(gain: float, *shape: int) -> np.ndarray:
        return random.normal(0, gain / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    def cell() -> LstmCell:
        return LstmCell(weights(3, 12, 48), weights(3, 12, 48), weights(0.5, 48))

    nodes = (
        g.Conv("conv", weights(2, 3, 3, 1, 8), weights(0.5, 8), pads=((1, 1), (1, 1)), activation="relu"),
        g.Pool("pool", "max", (2, 2), (2, 2)),
        g.Reshape("sequence", (16, 64)),
        g.Dense("dense", weights(2, 64, 12), weights(0.5, 12), "relu"),
        g.Recurrent("lstm", cell(), cell()),
        g.Dense("head", weights(30, 24, 11), weights(0.5, 11)),
        g.Softmax("softmax"),
    )
    return Graph.chain(TINY.input.shape, nodes).folded()


@pytest.fixture(scope="session")
def tiny_pictures() -> list[np.ndarray]:
    """Return eight grey images, (16, 32) uint8, in which `tiny_graph` and all its recipes read the same texts."""
    grid = np.random.default_rng(1).integers(0, 256, (16, 5, 9), np.uint8)
    pictures = np.repeat(np.repeat(grid, 4, axis=1), 4, axis=2)[:, 2:18, 2:34]
    return list(pictures[[0, 1, 3, 6, 10, 12, 13, 15]])  # int8 may change the texts of the others


@pytest.fixture(scope="session")
def tiny_labels() -> list[str]:
    """Return the texts that `tiny_graph` reads in `tiny_pictures`."""
    return ["2838", "284748", "42828", "47828", "878948", "8477289", "84728", "984842"]


@pytest.fixture(scope="session")
def tiny_artifacts(
    tiny_graph: Graph, tiny_pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return `tiny_artifacts(recipe, batch, takes_pixels)`, which converts `tiny_graph` once; copy it to change it."""
    from converters.artifact import make_tflite
    from converters.graph.ranges import calibrate
    from converters.recipe import RECIPES

    folder = tmp_path_factory.mktemp("artifacts")
    ranges = calibrate(tiny_graph, [preprocess(tiny_pictures, TINY.input)])
    images = Calibration(len(tiny_pictures), "1" * 64)

    @cache
    def make(recipe: str = "dynamic", batch: int = 1, takes_pixels: bool = True) -> Path:
        path = folder / f"{recipe}-{batch}-{'pixels' if takes_pixels else 'values'}.tflite"
        conversion = make_tflite(
            path, tiny_graph, TINY, RECIPES[recipe], "0" * 64, ranges, images, batch=batch, takes_pixels=takes_pixels
        )
        return save(path, conversion.payload, conversion.spec).path

    return make


@pytest.fixture(scope="session")
def tiny_onnx(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return `tiny_onnx(recipe, takes_pixels)`, which makes `tiny_graph` an `.onnx` once; copy it to change it."""
    pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it comes with edge-crnn[onnx]")
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed; it comes with edge-crnn[convert]")
    from converters.artifact import make_onnx
    from converters.recipe import ONNX_RECIPES

    folder = tmp_path_factory.mktemp("onnx")

    @cache
    def make(recipe: str = "float32", takes_pixels: bool = True) -> Path:
        path = folder / f"{recipe}-{'pixels' if takes_pixels else 'values'}.onnx"
        conversion = make_onnx(path, tiny_graph, TINY, ONNX_RECIPES[recipe], "0" * 64, takes_pixels=takes_pixels)
        return save(path, conversion.payload, conversion.spec).path

    return make


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return `stub(version, before, gpu, **knobs)`, which fakes TensorRT and a GPU, here and in child processes.

    The Python code in `before` runs when the fake is imported.
    """
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)  # restores the state before the line above when the test ends
    monkeypatch.setattr(cuda, "gpu", cuda.gpu)  # restored when the test ends
    site = tmp_path / "site"
    (site / "pycuda").mkdir(parents=True)
    (site / "pycuda" / "driver.py").touch()
    monkeypatch.syspath_prepend(site)
    # A fake that replaces another within a second would be run from the bytecode of the first.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def install(version: str = "10.3.0", before: str = "", gpu: str | None = "Orin", **knobs: object) -> None:
        sys.modules.pop("tensorrt", None)
        invalidate_caches()
        (site / "tensorrt.py").write_text(
            "import os, signal, sys, time\n"
            f"sys.path.insert(1, {str(Path(__file__).parents[1])!r})\n"
            "from edge_crnn.backends.tensorrt import cuda\n"
            "from tests.fake_tensorrt import tensorrt\n"
            f"{before}\n"
            f"if {gpu!r}:\n"
            f"    cuda.gpu = lambda: cuda.Gpu({gpu!r}, '8.7', '12.6')\n"
            f"spec, sys.modules[__name__] = __spec__, tensorrt({version!r}, **{knobs!r})\n"
            "sys.modules[__name__].__spec__ = spec\n",
            encoding="utf-8",
        )

    return install


@pytest.fixture(scope="session")
def tiny_artifact(tiny_artifacts: Callable[..., Path]) -> Path:
    """Return `tiny_graph` as an artifact in dynamic int8 that takes the pixels of one image."""
    return tiny_artifacts()


@pytest.fixture(scope="session")
def variant(request: pytest.FixtureRequest, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save each of `VARIANTS`, the ways in which people write such a network; a test runs once for each."""
    return _saved(keras, request.param, tmp_path_factory.mktemp("variants") / f"{request.param}.keras")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", sorted(VARIANTS), indirect=True, scope="session")


def _saved(keras: Any, name: str, path: Path) -> Path:
    keras.utils.clear_session()  # so that the names of layers start again at lstm
    keras.utils.set_random_seed(28)
    image = keras.Input((32, 16, 1), name="the_input")
    model = keras.Model(image, VARIANTS[name](keras, keras.layers, image))
    random = np.random.default_rng(11)
    for weight in model.weights:
        if weight.name in _RANGES:
            weight.assign(random.uniform(*_RANGES[weight.name], weight.shape))
        else:  # with Keras' initial kernels, all images give nearly the same output
            weight.assign(weight * 3)
    head = next(layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense))
    kernel, *bias = head.get_weights()
    head.set_weights([kernel * 3, *bias])
    model.save(path)
    sidecar(path).write_text(TINY.to_json(), encoding="utf-8")
    return path


_RANGES = {
    "beta": (-0.5, 0.5),
    "bias": (-0.5, 0.5),
    "gamma": (0.5, 1.5),
    "moving_mean": (-0.5, 0.5),
    "moving_variance": (0.3, 2.0),
}
"""The ranges of weights that Keras initialises to 0 or 1, where a mix-up would not show."""
