from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.trained.facts import file_facts
from converters.trained.keras.model import Declarations, load_graph
from edge_crnn.errors import BackendUnavailable, ModelFileError
from tests.converters.trained.keras.layers.helpers import engine, save

PLATES = Path(__file__).parents[3] / "models" / "plates.keras"


def recogniser(
    keras: Any, shape: tuple[int | None, ...] = (32, 16, 1), before: Callable[[Any], Any] = lambda x: x
) -> Any:
    """A small network along the columns, which are the first axis."""
    layers = keras.layers
    image = keras.Input(shape, name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(before(image))
    x = layers.MaxPooling2D((2, 2), name="pool")(x)
    x = layers.Reshape((-1, 32), name="sequence")(x)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True), name="lstm")(x)
    return keras.Model(image, layers.Dense(11, activation="softmax", name="head")(x))


@pytest.mark.parametrize(("version", "name"), [("keras3", "a.keras"), ("keras3", "a.h5"), ("keras2", "b.h5")])
def test_facts_in_a_file(version: str, name: str, tmp_path: Path) -> None:
    model = recogniser(engine(version))
    facts = file_facts(save(model, tmp_path / name))
    assert (facts.shape, facts.axes, facts.steps, facts.classes) == ((32, 16, 1), "WHC", 16, 11)
    assert facts.parameters == model.count_params()
    cells = 2 * (32 * 24 + 6 * 24)
    assert facts.multiplications == 32 * 16 * 9 * 4 + 16 * cells + 16 * 12 * 11
    assert [(layer.name, layer.kind, layer.shape) for layer in facts.layers] == [
        ("conv", "Conv2D", (32, 16, 4)),
        ("pool", "MaxPooling2D", (16, 8, 4)),
        ("sequence", "Reshape", (16, 32)),
        ("lstm", "Bidirectional", (16, 12)),
        ("head", "Dense", (16, 11)),
    ]
    assert (facts.vocabulary, facts.scaling, facts.blank, facts.head) == (None, None, None, None)
    assert (facts.softmax, facts.expects_raw_pixels, facts.obstacles, facts.missing) == (False, False, (), None)
    graph = facts.require_network().graph
    assert [node.name for node in graph.nodes] == [node.name for node in load_graph(tmp_path / name).nodes]


def test_rows_first(tmp_path: Path) -> None:
    keras = engine("keras3")
    model = recogniser(keras, (16, 32, 1), keras.layers.Permute((2, 1, 3)))
    assert file_facts(save(model, tmp_path / "a.keras")).axes == "HWC"


def test_an_open_size(tmp_path: Path) -> None:
    path = save(recogniser(engine("keras3"), (None, 16, 1)), tmp_path / "a.keras")
    facts = file_facts(path)
    assert (facts.shape, facts.axes, facts.steps, facts.classes) == ((None, 16, 1), "WHC", None, 11)
    assert facts.parameters
    assert (facts.multiplications, facts.network, facts.obstacles) == (None, None, ())
    with pytest.raises(ModelFileError, match="must fix its open axes: give --width"):
        facts.require_network()
    declared = file_facts(path, declarations=Declarations((48, 16, 1)))
    assert (declared.steps, declared.missing) == (24, None)
    assert declared.require_network().graph.input_shape == (48, 16, 1)


# --- scaling ---------------------------------------------------------------------------------------------------------


def _normalised(keras: Any) -> Any:
    return keras.layers.Normalization(mean=127.5, variance=127.5**2)


SCALINGS = {
    "Rescaling": (lambda keras: keras.layers.Rescaling(1 / 127.5, -1), 1 / 127.5, -1, True),
    "Normalization": (_normalised, 1 / 127.5, -1, True),
    "divide": (lambda _: lambda x: x / 255.0, 1 / 255, 0, True),
    "subtract, then divide": (lambda _: lambda x: (127.5 - x) / 127.5, -1 / 127.5, 1, True),
    "of scaled pixels": (lambda keras: keras.layers.Rescaling(2, -1), 2, -1, False),
}


@pytest.mark.parametrize("version", ["keras3", "keras2"])
@pytest.mark.parametrize(("make", "scale", "offset", "raw"), SCALINGS.values(), ids=SCALINGS)
def test_scaling(
    make: Callable[[Any], Any], scale: float, offset: float, raw: bool, version: str, tmp_path: Path
) -> None:
    keras = engine(version)
    suffix = ".keras" if version == "keras3" else ".h5"
    facts = file_facts(save(recogniser(keras, before=make(keras)), tmp_path / f"a{suffix}"))
    assert facts.scaling is not None
    np.testing.assert_allclose(facts.scaling.scale, [scale], rtol=1e-5)
    np.testing.assert_allclose(facts.scaling.offset, [offset], rtol=1e-5, atol=1e-6)
    assert facts.expects_raw_pixels is raw
    assert str(facts.scaling).startswith(f"pixel · {scale:.4g}"[:12])


def test_scaling_by_channel(tmp_path: Path) -> None:
    keras = engine("keras3")
    layer = keras.layers.Normalization(mean=[120, 110, 100], variance=[3600, 3600, 2500])
    facts = file_facts(save(recogniser(keras, (32, 16, 3), layer), tmp_path / "a.keras"))
    assert facts.scaling is not None
    np.testing.assert_allclose(facts.scaling.offset, [-2, -11 / 6, -2], rtol=1e-5)
    assert facts.scaling.layers == (layer.name,)


MOVES = {
    "Cropping2D": (lambda layers: layers.Cropping2D((4, 2)), (40, 20, 1)),
    "ZeroPadding2D": (lambda layers: layers.ZeroPadding2D((4, 2)), (24, 12, 1)),
    "Resizing, same size": (lambda layers: layers.Resizing(32, 16), (32, 16, 1)),
    "Resizing": (lambda layers: layers.Resizing(32, 16), (16, 8, 1)),
    "Resizing, nearest": (lambda layers: layers.Resizing(32, 16, interpolation="nearest"), (16, 8, 1)),
    "UpSampling2D": (lambda layers: layers.UpSampling2D(2), (16, 8, 1)),
    "AveragePooling2D": (lambda layers: layers.AveragePooling2D(2), (64, 32, 1)),
    "Permute": (lambda layers: layers.Permute((2, 1, 3)), (16, 32, 1)),
    "Reshape": (lambda layers: layers.Reshape((32, 16, 1)), (32, 16)),
}
"""Layer that moves or mixes pixels → how to make it, and the shape that it turns into (32, 16, 1)."""


@pytest.mark.parametrize("first", ["scaled", "moved"])
@pytest.mark.parametrize("scaling", ["Rescaling", "Normalization"])
@pytest.mark.parametrize(("make", "shape"), MOVES.values(), ids=MOVES)
def test_pixels_are_moved_and_scaled(
    make: Callable[[Any], Any], shape: tuple[int, ...], scaling: str, first: str, tmp_path: Path
) -> None:
    keras = engine("keras3")
    steps = [make(keras.layers), SCALINGS[scaling][0](keras)]
    inner, outer = steps if first == "moved" else steps[::-1]
    facts = file_facts(save(recogniser(keras, shape, lambda x: outer(inner(x))), tmp_path / "a.keras"))
    assert facts.obstacles == ()
    assert facts.scaling is not None
    np.testing.assert_allclose(facts.scaling.scale, [1 / 127.5], rtol=1e-5)
    np.testing.assert_allclose(facts.scaling.offset, [-1], rtol=1e-5)
    assert facts.scaling.layers == (steps[1].name,)
    assert facts.expects_raw_pixels


@pytest.mark.parametrize("channels_stay", [True, False])
def test_numbers_by_channel_hold_while_the_channels_stay(channels_stay: bool, tmp_path: Path) -> None:
    keras = engine("keras3")
    turn = (lambda x: x[:, ::-1, 4:]) if channels_stay else (lambda x: x[..., ::-1])
    layer = keras.layers.Normalization(mean=[120, 110, 100], variance=[3600, 3600, 2500])
    shape = (32, 20, 3) if channels_stay else (32, 16, 3)
    facts = file_facts(save(recogniser(keras, shape, lambda x: layer(turn(x))), tmp_path / "a.keras"))
    assert (facts.scaling is not None) is channels_stay


def test_a_declared_lambda_scales(tmp_path: Path) -> None:
    keras = engine("keras3")
    lambda_ = keras.layers.Lambda(lambda x: x / 255, name="scaled")
    path = save(recogniser(keras, before=lambda_), tmp_path / "a.keras")
    assert file_facts(path).lambdas == ("scaled",)
    facts = file_facts(path, declarations=Declarations(lambdas={"scaled": "scale 1/255"}))
    assert facts.lambdas == ()
    assert str(facts.scaling) == "pixel · 0.00392157 + 0"


def test_a_batch_norm_is_no_scaling(tmp_path: Path) -> None:
    keras = engine("keras3")
    facts = file_facts(save(recogniser(keras, before=keras.layers.BatchNormalization()), tmp_path / "a.keras"))
    assert facts.scaling is None


# --- without the HDF5 library ----------------------------------------------------------------------------------------


@pytest.fixture
def without_h5py(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes h5py appear not to be installed."""
    real = importlib.util.find_spec
    return lambda: monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "h5py" else real(name, *more)
    )


@pytest.mark.parametrize("scaling", ["Rescaling", "Normalization", "divide"])
def test_what_the_structure_says_is_read_without_weights(
    scaling: str, without_h5py: Callable[[], None], tmp_path: Path
) -> None:
    keras = engine("keras3")
    path = save(recogniser(keras, before=SCALINGS[scaling][0](keras)), tmp_path / "a.keras")
    whole = file_facts(path)
    without_h5py()
    facts = file_facts(path)
    assert (whole.unread, facts.network) == (None, None)
    assert "h5py" in str(facts.unread)
    assert facts == replace(
        whole, network=None, unread=facts.unread, scaling=None if scaling == "Normalization" else whole.scaling
    )
    for convert in (facts.require_network, lambda: load_graph(path)):
        with pytest.raises(BackendUnavailable, match="h5py"):
            convert()


def test_an_h5_needs_the_library(without_h5py: Callable[[], None], tmp_path: Path) -> None:
    path = save(recogniser(engine("keras3")), tmp_path / "a.h5")
    without_h5py()
    with pytest.raises(BackendUnavailable, match="h5py"):
        file_facts(path)


def test_weights_that_no_file_holds_are_bounded(without_h5py: Callable[[], None], tmp_path: Path) -> None:
    whole = save(recogniser(engine("keras3")), tmp_path / "whole.keras")
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name).replace(b'"units": 11', b'"units": %d' % (1 << 24)))
    without_h5py()
    facts = file_facts(path)
    assert "at most" in str(facts.obstacles[0])


# --- alphabet and blank ----------------------------------------------------------------------------------------------


def with_lookup(keras: Any, layer: Any) -> Any:
    """A network saved with its loss, which takes labels as text; a layer turns them into numbers."""

    class CTCLayer(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, prediction: Any, labels: Any) -> Any:
            return prediction + 0.0 * keras.ops.sum(keras.ops.cast(labels, "float32"))

    model = recogniser(keras)
    labels = keras.Input((None,) if "Lookup" in type(layer).__name__ else (1,), dtype="string", name="labels")
    return keras.Model([model.input, labels], CTCLayer(name="ctc")(model.output, layer(labels)))


def _adapted(layer: Any) -> Any:
    layer.adapt(np.array([list("ba"), list("bc")]) if "Lookup" in type(layer).__name__ else np.array(["bab", "bc"]))
    return layer


LOOKUPS = {
    "given": (lambda layers: layers.StringLookup(vocabulary=list("0123")), (None, *"0123"), 1, None),
    "given with [UNK]": (lambda layers: layers.StringLookup(vocabulary=["[UNK]", *"0123"]), (None, *"0123"), 1, None),
    "two unknown, a mask": (
        lambda layers: layers.StringLookup(vocabulary=list("01"), num_oov_indices=2, mask_token=""),
        (None, None, None, "0", "1"), 2, "",
    ),
    "none unknown": (
        lambda layers: layers.StringLookup(vocabulary=["가", "나"], num_oov_indices=0), ("가", "나"), 0, None,
    ),
    "adapted": (lambda layers: _adapted(layers.StringLookup()), (None, "b", "c", "a"), 1, None),
    "TextVectorization": (
        lambda layers: layers.TextVectorization(split="character", vocabulary=list("xyz")), (None, None, *"xyz"), 1, "",
    ),
    "adapted TextVectorization": (
        lambda layers: _adapted(layers.TextVectorization(split="character")), (None, None, "b", "c", "a"), 1, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "symbols", "oov", "mask"), LOOKUPS.values(), ids=LOOKUPS)
def test_the_alphabet_of_a_lookup_layer(
    make: Callable[[Any], Any], symbols: tuple[str | None, ...], oov: int, mask: str | None, tmp_path: Path
) -> None:
    keras = engine("keras3")
    layer = make(keras.layers)
    facts = file_facts(save(with_lookup(keras, layer), tmp_path / "a.keras"))
    assert facts.obstacles == ()
    assert facts.vocabulary == symbols
    assert (facts.oov, facts.mask, facts.head) == (oov, mask, "ctc")
    words = layer.get_vocabulary()
    assert [word for word in words if word not in ("", "[UNK]")] == [word for word in symbols if word is not None]
    assert len(words) == len(symbols)


def test_the_alphabet_of_an_inverse_and_of_an_integer_lookup(tmp_path: Path) -> None:
    keras = engine("keras3")
    path = save(with_lookup(keras, keras.layers.StringLookup(vocabulary=list("01"))), tmp_path / "a.keras")
    integers = {"class_name": "IntegerLookup", "config": {"vocabulary": [7, 9], "mask_token": None, "oov_token": -1}}
    for extra, expected in (
        ({"class_name": "StringLookup", "config": {"vocabulary": ["0", "1"], "invert": True}}, (None, "0", "1")),
        (integers, None),
    ):
        facts = file_facts(with_layer(path, tmp_path / "b.keras", extra))
        assert facts.vocabulary == expected
        assert ("different vocabularies" in " ".join(facts.notes)) is (expected is None)


def with_layer(path: Path, target: Path, layer: dict[str, Any]) -> Path:
    """A `.keras` file with one more layer, which nothing uses."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"].append({"name": "more", "module": "keras.layers", "inbound_nodes": [], **layer})
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_blank_of_keras_own_loss(suffix: str, tmp_path: Path) -> None:
    """`keras.losses.CTC` calls `keras.ops.ctc_loss` with `mask_index` 0, which is its blank."""
    keras = engine("keras3")
    model = recogniser(keras)
    model.compile(loss=keras.losses.CTC())
    assert file_facts(save(model, tmp_path / f"a{suffix}")).blank == "first"
    model.compile(loss="mse")
    assert file_facts(save(model, tmp_path / f"b{suffix}")).blank is None


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_large_file_is_read_at_once_without_keras() -> None:
    code = f"""
import sys, time
from pathlib import Path
from converters.trained.facts import file_facts
start = time.process_time()
facts = file_facts(Path({str(PLATES)!r}))
assert (facts.axes, facts.steps, facts.classes) == ("WHC", 32, 42), facts
assert time.process_time() - start < 2
assert not {{"tensorflow", "keras", "tf_keras", "h5py"}} & set(sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_checkpoint(checkpoints: Path) -> None:
    folder = checkpoints / "fresh"
    facts = file_facts(folder)
    assert (facts.shape, facts.axes, facts.steps, facts.classes) == ((None, 32, 1), "WHC", None, 11)
    assert facts.missing is not None
    assert facts.parameters
    declared = file_facts(folder, declarations=Declarations((100, 32, 1)))
    assert (declared.shape, declared.steps, declared.missing) == ((100, 32, 1), 24, None)
    assert declared.require_network().ends.softmax
