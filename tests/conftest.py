"""Tiny seeded CRNNs: made and saved by real Keras, or converted from a graph built by hand.

Only a test that asks for one of Keras pays for importing TensorFlow.
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

# Whoever started pytest in the background of a script, or with nohup, had it ignore Ctrl-C or the end of the terminal,
# and so would all processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The workers of pytest-xdist keep all cores busy as it is. TensorFlow reads this when it is imported.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# For runs on further Pythons, after a whole one; tests that set a number of their own keep it.
settings.register_profile("brief", max_examples=15)

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
    """The user's own cache is neither read nor written."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_CRNN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras on TensorFlow; without them, what needs it is skipped."""
    for module in ("h5py", "tensorflow"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; it comes with edge-crnn[convert]")
    from converters.reference.keras import import_keras

    return import_keras()[1]


@pytest.fixture(scope="session")
def tiny_keras(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plate network in small, 32×16 pixels to 16 steps of 11 classes, sure of itself; its spec lies beside it."""
    return _saved(keras, "plates", tmp_path_factory.mktemp("tiny") / "tiny.keras")


@pytest.fixture(scope="session")
def tiny_h5(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of `tiny_keras` as whole-model HDF5."""
    return _saved(keras, "plates", tmp_path_factory.mktemp("tiny") / "tiny.h5")


@pytest.fixture(scope="session")
def tiny_images() -> np.ndarray:
    """(16, 32, 16, 1) float32 within [-1, 1], width-major: soft blobs, of which `tiny_keras` reads different texts."""
    grid = np.random.default_rng(1).uniform(-1, 1, (16, 9, 5, 1))
    return np.repeat(np.repeat(grid, 4, axis=1), 4, axis=2)[:, 2:34, 2:18].astype(np.float32)


@pytest.fixture(scope="session")
def tiny_graph() -> Graph:
    """A CRNN in small, folded, on the input and the output of `TINY`; no TensorFlow."""
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
    """Eight grey pictures, (16, 32) uint8: `tiny_graph` reads a text in each, and every recipe the same one."""
    grid = np.random.default_rng(1).integers(0, 256, (16, 5, 9), np.uint8)
    pictures = np.repeat(np.repeat(grid, 4, axis=1), 4, axis=2)[:, 2:18, 2:34]
    return list(pictures[[0, 1, 3, 6, 10, 12, 13, 15]])  # of the others int8 may change a text, as in real life


@pytest.fixture(scope="session")
def tiny_labels() -> list[str]:
    """What `tiny_graph` reads in `tiny_pictures`."""
    return ["2838", "284748", "42828", "47828", "878948", "8477289", "84728", "984842"]


@pytest.fixture(scope="session")
def tiny_artifacts(
    tiny_graph: Graph, tiny_pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """`tiny_artifacts(recipe, batch, takes_pixels)`: `tiny_graph` as an artifact, made once; copy it to change it."""
    from converters.artifact import make_tflite
    from converters.graph.ranges import calibrate
    from converters.recipe import RECIPES

    folder = tmp_path_factory.mktemp("artifacts")
    ranges = calibrate(tiny_graph, [preprocess(tiny_pictures, TINY.input)])
    images = Calibration(len(tiny_pictures), "1" * 64)

    @cache
    def make(recipe: str = "dynamic", batch: int = 1, takes_pixels: bool = True) -> Path:
        path = folder / f"{recipe}-{batch}-{'pixels' if takes_pixels else 'values'}.tflite"
        made = make_tflite(
            path, tiny_graph, TINY, RECIPES[recipe], "0" * 64, ranges, images, batch=batch, takes_pixels=takes_pixels
        )
        return save(path, made.payload, made.spec).path

    return make


@pytest.fixture(scope="session")
def tiny_onnx(tiny_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_onnx(recipe, takes_pixels)`: `tiny_graph` as an `.onnx`, made once; copy it to change it."""
    pytest.importorskip("onnx", reason="onnx is not installed; it comes with edge-crnn[onnx]")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it comes with edge-crnn[onnx]")
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed; it comes with edge-crnn[convert]")
    from converters.artifact import make_onnx
    from converters.recipe import ONNX_RECIPES

    folder = tmp_path_factory.mktemp("onnx")

    @cache
    def make(recipe: str = "float32", takes_pixels: bool = True) -> Path:
        path = folder / f"{recipe}-{'pixels' if takes_pixels else 'values'}.onnx"
        made = make_onnx(path, tiny_graph, TINY, ONNX_RECIPES[recipe], "0" * 64, takes_pixels=takes_pixels)
        return save(path, made.payload, made.spec).path

    return make


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`stub(version, before, gpu, **knobs)` installs a fake TensorRT and GPU, here and in processes started from here.

    Python in `before` runs when the fake is imported.
    """
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)  # as it was before the first line when the test is over
    monkeypatch.setattr(cuda, "gpu", cuda.gpu)  # likewise
    site = tmp_path / "site"
    (site / "pycuda").mkdir(parents=True)
    (site / "pycuda" / "driver.py").touch()
    monkeypatch.syspath_prepend(site)

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
    """`tiny_graph` as an artifact that takes pixels, one at a time, in dynamic int8."""
    return tiny_artifacts()


@pytest.fixture(scope="session")
def variant(request: pytest.FixtureRequest, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAME.keras for a name in `VARIANTS`, the ways in which people write such a network; a test gets each in turn."""
    return _saved(keras, request.param, tmp_path_factory.mktemp("variants") / f"{request.param}.keras")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", sorted(VARIANTS), indirect=True, scope="session")


def _saved(keras: Any, name: str, path: Path) -> Path:
    keras.utils.clear_session()  # layers are named lstm, lstm_1, ... whatever was made before
    keras.utils.set_random_seed(28)
    image = keras.Input((32, 16, 1), name="the_input")
    model = keras.Model(image, VARIANTS[name](keras, keras.layers, image))
    random = np.random.default_rng(11)
    for weight in model.weights:
        if weight.name in _RANGES:
            weight.assign(random.uniform(*_RANGES[weight.name], weight.shape))
        else:  # kernels, as Keras starts them, give every image nearly the same
            weight.assign(weight * 3)
    head = next(each for each in reversed(model.layers) if isinstance(each, keras.layers.Dense))
    kernel, *bias = head.get_weights()
    head.set_weights([kernel * 3, *bias])
    model.save(path)
    sidecar(path).write_text(TINY.to_json(), encoding="utf-8")
    return path


def _plates(k: Any, layers: Any, x: Any) -> Any:
    """The architecture of the plate model, with its hand-wired pairs, each backward LSTM first."""
    for filters, pool in ((8, (2, 2)), (16, (1, 2))):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(pool)(x)
    x = layers.Conv2D(16, 2, padding="same", name="con7")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dense(12, activation="relu", name="dense1")(layers.Reshape((16, 64))(x))
    x = layers.BatchNormalization()(_hand_wired(layers, x, layers.Add(), lambda y: k.ops.flip(y, axis=1)))
    x = layers.BatchNormalization()(_hand_wired(layers, x, layers.Concatenate(), lambda y: k.ops.flip(y, axis=1)))
    return layers.Activation("softmax")(layers.Dense(11, name="dense2")(x))


def _hand_wired(layers: Any, x: Any, merge: Any, turn: Any, kind: str = "LSTM", **settings: Any) -> Any:
    make = getattr(layers, kind)
    backward = make(12, return_sequences=True, go_backwards=True, **settings)(x)
    forward = make(12, return_sequences=True, **settings)(x)
    return merge([forward, turn(backward)])


def _sequence(layers: Any, x: Any) -> Any:
    """(16, 12) from an image, cheaply."""
    x = layers.Conv2D(6, 3, padding="same", strides=(2, 4), activation="relu")(x)
    return layers.Dense(12, activation="tanh")(layers.Reshape((16, -1))(x))


def _head(layers: Any, x: Any) -> Any:
    return layers.Dense(11, activation="softmax")(x)


def _wrapped(merge: str) -> Any:
    def build(_: Any, layers: Any, x: Any) -> Any:
        x = _sequence(layers, x)
        x = layers.Bidirectional(layers.LSTM(7, return_sequences=True), merge_mode=merge, name="backward_first")(x)
        return _head(layers, layers.BatchNormalization()(x))

    return build


def _merged(merge: str) -> Any:
    def build(k: Any, layers: Any, x: Any) -> Any:
        turn = lambda y: k.ops.flip(y, axis=1)  # noqa: E731
        return _head(layers, _hand_wired(layers, _sequence(layers, x), getattr(layers, merge)(), turn))

    return build


def _average_pool(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, (4, 2), use_bias=False)(x)  # 29×15
    x = layers.AveragePooling2D((2, 3), padding="same")(x)  # 15×5, and the last window half empty
    x = layers.MaxPooling2D((3, 2), strides=(1, 2), padding="same")(x)
    return _head(layers, layers.Reshape((-1, 12))(x))


def _dropout(k: Any, layers: Any, x: Any) -> Any:
    x = layers.SpatialDropout2D(0.3)(layers.GaussianNoise(0.1)(x))
    x = layers.Dropout(0.3)(_sequence(layers, x))
    x = _hand_wired(layers, x, layers.Add(), lambda y: layers.Dropout(0.3)(k.ops.flip(y, axis=1)))
    return layers.Dropout(0.1)(_head(layers, x))


def _even_kernels(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, (4, 2), padding="same", activation="relu")(x)
    x = layers.Conv2D(4, (2, 4), padding="same", strides=(2, 3), activation="tanh")(x)
    return _head(layers, layers.Reshape((16, -1))(x))


def _lambda(k: Any, layers: Any, x: Any) -> Any:
    turn = layers.Lambda(lambda y: k.ops.flip(y, axis=1))
    return _head(layers, _hand_wired(layers, _sequence(layers, x), layers.Add(), turn))


def _norm_before_conv(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization(name="stays")(x)
    x = layers.Conv2D(4, 3, padding="same", strides=(2, 2), activation="relu")(x)
    x = layers.BatchNormalization(scale=False, name="folds")(layers.Reshape((16, -1))(x))
    return _head(layers, layers.BatchNormalization(center=False, name="folds_too")(x))


def _norm_of_logits(_: Any, layers: Any, x: Any) -> Any:
    x = layers.BatchNormalization(scale=False, center=False)(layers.Dense(11)(_sequence(layers, x)))
    return layers.Softmax()(x)


def _one_way(k: Any, layers: Any, x: Any) -> Any:
    x = layers.LSTM(9, return_sequences=True, use_bias=False)(_sequence(layers, x))
    x = layers.LSTM(8, return_sequences=True, go_backwards=True, unroll=True)(x)
    return _head(layers, k.ops.flip(x, axis=1))


def _gru_both_ways(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Bidirectional(layers.GRU(7, return_sequences=True))(_sequence(layers, x))
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True, reset_after=False), merge_mode="sum")(x)
    return _head(layers, layers.BatchNormalization()(x))


def _gru_hand_wired(k: Any, layers: Any, x: Any) -> Any:
    turn = lambda y: k.ops.flip(y, axis=1)  # noqa: E731
    x = _hand_wired(layers, _sequence(layers, x), layers.Add(), turn, "GRU")
    return _head(layers, _hand_wired(layers, x, layers.Concatenate(), turn, "GRU", reset_after=False))


def _gru_one_way(k: Any, layers: Any, x: Any) -> Any:
    x = layers.GRU(9, return_sequences=True)(_sequence(layers, x))
    x = layers.GRU(8, return_sequences=True, use_bias=False)(x)
    x = layers.GRU(7, return_sequences=True, go_backwards=True, reset_after=False)(x)
    return _head(layers, k.ops.flip(x, axis=1))


def _hard_gates(_: Any, layers: Any, x: Any) -> Any:
    settings = {"return_sequences": True, "recurrent_activation": "hard_sigmoid"}
    x = layers.Bidirectional(layers.LSTM(7, **settings))(_sequence(layers, x))
    x = layers.Bidirectional(layers.GRU(7, **settings))(x)
    return _head(layers, layers.GRU(8, reset_after=False, **settings)(x))


def _kinds_mixed(_: Any, layers: Any, x: Any) -> Any:
    backward = layers.GRU(8, return_sequences=True, go_backwards=True)
    wrapped = layers.Bidirectional(layers.LSTM(8, return_sequences=True), "mul", backward_layer=backward)
    return _head(layers, wrapped(_sequence(layers, x)))


def _recurrent_dropout(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Dropout(0.2)(_sequence(layers, x))
    for kind in (layers.LSTM, layers.GRU):
        x = layers.Bidirectional(kind(9, return_sequences=True, dropout=0.25, recurrent_dropout=0.25))(x)
        x = layers.Dropout(0.2)(x)
    return _head(layers, x)


def _stacked(k: Any, layers: Any, x: Any) -> Any:
    x = layers.RNN([layers.LSTMCell(7), layers.LSTMCell(5), layers.GRUCell(6)], return_sequences=True)(
        _sequence(layers, x)
    )
    x = layers.RNN(layers.LSTMCell(8), return_sequences=True)(x)
    cells = layers.StackedRNNCells([layers.GRUCell(7, reset_after=False), layers.GRUCell(5, dropout=0.2)])
    return _head(layers, k.ops.flip(layers.RNN(cells, return_sequences=True, go_backwards=True)(x), axis=1))


def _stacked_both_ways(k: Any, layers: Any, x: Any) -> Any:
    cells = [layers.LSTMCell(7), layers.LSTMCell(5), layers.LSTMCell(6)]
    x = layers.Bidirectional(layers.RNN(cells, return_sequences=True), merge_mode="ave")(_sequence(layers, x))
    backward = layers.RNN([layers.GRUCell(4), layers.GRUCell(8)], return_sequences=True, go_backwards=True)(x)
    forward = layers.RNN([layers.LSTMCell(5), layers.GRUCell(8)], return_sequences=True)(x)
    return _head(layers, layers.Multiply()([forward, k.ops.flip(backward, axis=1)]))


def _operators(k: Any, layers: Any, x: Any) -> Any:
    return _head(
        layers, _hand_wired(layers, _sequence(layers, x), lambda pair: pair[0] * pair[1], lambda y: k.ops.flip(y, 1))
    )


def _rectifiers(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Rescaling(2.5, offset=0.25)(x)
    x = layers.ReLU()(layers.Conv2D(4, 3, padding="same", strides=2)(x))
    x = layers.ReLU(max_value=6)(layers.Conv2D(4, 3, padding="same")(x))
    return layers.Softmax()(layers.Dense(11)(layers.Reshape((16, -1))(x)))


def _time_distributed(_: Any, layers: Any, x: Any) -> Any:
    x = layers.Conv2D(3, (3, 5), strides=2)(x)
    x = layers.TimeDistributed(layers.Flatten())(layers.Permute((2, 3, 1))(x))
    x = layers.TimeDistributed(layers.Dense(9, activation="tanh"))(x)
    return _head(layers, x)


_RANGES = {
    "beta": (-0.5, 0.5),
    "bias": (-0.5, 0.5),
    "gamma": (0.5, 1.5),
    "moving_mean": (-0.5, 0.5),
    "moving_variance": (0.3, 2.0),
}
"""Of weights that Keras starts as 0 or 1, where a mix-up would not show."""

VARIANTS = {
    "average-pool": _average_pool,
    "bidirectional-ave": _wrapped("ave"),
    "bidirectional-concat": _wrapped("concat"),
    "bidirectional-mul": _wrapped("mul"),
    "bidirectional-sum": _wrapped("sum"),
    "dropout": _dropout,
    "even-kernels": _even_kernels,
    "gru-both-ways": _gru_both_ways,
    "gru-hand-wired": _gru_hand_wired,
    "gru-one-way": _gru_one_way,
    "hard-gates": _hard_gates,
    "kinds-mixed": _kinds_mixed,
    "lambda": _lambda,
    "logits": lambda _, layers, x: layers.Dense(11)(_sequence(layers, x)),
    "merge-average": _merged("Average"),
    "merge-multiply": _merged("Multiply"),
    "norm-before-conv": _norm_before_conv,
    "norm-of-logits": _norm_of_logits,
    "one-way": _one_way,
    "operators": _operators,
    "plates": _plates,
    "rectifiers": _rectifiers,
    "recurrent-dropout": _recurrent_dropout,
    "stacked": _stacked,
    "stacked-both-ways": _stacked_both_ways,
    "time-distributed": _time_distributed,
}
