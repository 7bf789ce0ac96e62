from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.reference.keras import KerasReference
from edge_crnn.errors import BackendError, BackendUnavailable, InputError, ModelFileError


@pytest.fixture(scope="module")
def reference(tiny_keras: Path) -> KerasReference:
    return KerasReference(tiny_keras, batch=5)


def test_facts(reference: KerasReference, keras: Any) -> None:
    facts = reference.facts
    assert (facts.name, facts.version, facts.precision) == ("keras", keras.__version__, "float32")
    assert (facts.input_shape, facts.input_dtype, facts.max_batch) == ((32, 16, 1), "float32", 5)


def test_it_is_keras_own_prediction_whatever_the_batch(
    reference: KerasReference, keras: Any, tiny_keras: Path, tiny_images: np.ndarray
) -> None:
    expected = keras.saving.load_model(tiny_keras)(tiny_images, training=False)
    np.testing.assert_allclose(reference.infer(tiny_images), expected, atol=1e-6)
    for image, row in zip(tiny_images[:2], np.asarray(expected), strict=False):
        np.testing.assert_allclose(reference.infer(image[None])[0], row, atol=1e-6)
    assert reference.infer(tiny_images[:0]).shape == (0, 16, 11)


def test_tiny_images_are_read_differently_and_surely(reference: KerasReference, tiny_images: np.ndarray) -> None:
    rows = np.sort(reference.infer(tiny_images)[:, 2:], axis=-1)
    assert np.median(rows[..., -1]) > 0.6
    assert (rows[..., -1] - rows[..., -2]).min() > 0.005  # no best class hangs on rounding
    assert len({row.tobytes() for row in reference.infer(tiny_images).argmax(axis=-1)}) > 8


def test_h5_gives_the_same(reference: KerasReference, tiny_h5: Path, tiny_images: np.ndarray) -> None:
    np.testing.assert_allclose(KerasReference(tiny_h5).infer(tiny_images), reference.infer(tiny_images), atol=1e-6)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 16, 32, 1), np.float32),
        np.zeros((32, 16, 1), np.float32),
        np.zeros((1, 32, 16, 1), np.uint8),
        np.full((1, 32, 16, 1), np.nan, np.float32),
    ],
    ids=["swapped", "no batch", "uint8", "NaN"],
)
def test_batches_that_are_refused(reference: KerasReference, batch: np.ndarray) -> None:
    with pytest.raises(InputError, match="keras"):
        reference.infer(batch)


def test_closed(tiny_keras: Path, tiny_images: np.ndarray) -> None:
    reference = KerasReference(tiny_keras)
    reference.close()
    reference.close()
    with pytest.raises(BackendError, match="after close"):
        reference.infer(tiny_images)


def test_lambda_is_replaced_not_run(keras: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    image = keras.Input((8, 4, 1))
    x = keras.layers.Reshape((8, 4))(image)
    backward = keras.layers.LSTM(4, return_sequences=True, go_backwards=True)(x)
    run = lambda y, trace: (open(trace, "a").close(), y[:, ::-1])[1]  # noqa: E731, PTH123 - stored as bytecode
    turned = keras.layers.Lambda(run, arguments={"trace": str(trace)})(backward)
    x = keras.layers.add([keras.layers.LSTM(4, return_sequences=True)(x), turned])
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    images = np.random.default_rng(1).uniform(-1, 1, (2, 8, 4, 1)).astype(np.float32)
    expected = np.asarray(model(images))
    assert trace.exists()
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        trace.unlink(missing_ok=True)
        np.testing.assert_allclose(KerasReference(tmp_path / name).infer(images), expected, atol=1e-6)
        assert not trace.exists()


def test_configuration_that_names_another_module(tiny_keras: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    shutil.copy(tiny_keras, path)
    with zipfile.ZipFile(tiny_keras) as archive:
        config = json.loads(archive.read("config.json"))
        data = archive.read("model.weights.h5")
    call = {"module": "os", "class_name": "system", "config": {"command": "false"}, "registered_name": None}
    config["config"]["layers"][1]["config"]["kernel_initializer"] = call  # the graph does not look there; Keras does
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", data)
    with pytest.raises(ModelFileError, match="names module 'os'"):
        KerasReference(path)


def test_without_tensorflow(tiny_keras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(BackendUnavailable, match=r"needs tensorflow: pip install 'edge-crnn\[convert\]'"):
        KerasReference(tiny_keras)
