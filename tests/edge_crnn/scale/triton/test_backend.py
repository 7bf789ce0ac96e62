"""The code that Triton runs, with a fake of the module that Triton gives it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edge_crnn.errors import ImageError
from edge_crnn.reader import open_reader
from edge_crnn.reading import Reading
from edge_crnn.scale.triton.backend import OUTPUTS, TritonPythonModel, columns, read
from edge_crnn.scale.triton.wire import IMAGE, PIXELS


class FakeRequest:
    def __init__(self, **tensors: Any) -> None:
        self.tensors = tensors


@pytest.fixture
def fake_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("triton_python_backend_utils")
    module.Tensor = lambda name, values: (name, values)
    module.TritonError = str
    module.InferenceResponse = lambda tensors, error=None: (dict(tensors), error)
    module.get_input_tensor_by_name = lambda request, name: (
        SimpleNamespace(as_numpy=lambda: request.tensors[name]) if name in request.tensors else None
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", module)


@pytest.fixture
def model(tiny_artifact: Path, tmp_path: Path, fake_triton: None) -> TritonPythonModel:
    (tmp_path / "1").mkdir()
    shutil.copy(tiny_artifact, tmp_path / "1/tiny.tflite")
    parameters = {
        "settings": {"string_value": json.dumps({"min_confidence": 0.0})},
        "file": {"string_value": "tiny.tflite"},
    }
    opened = TritonPythonModel()
    opened.initialize(
        {
            "model_config": json.dumps({"parameters": parameters}),
            "model_repository": str(tmp_path),
            "model_version": "1",
            "model_instance_kind": "CPU",
        }
    )
    return opened


def files(images: list[Any]) -> np.ndarray:
    return np.array([[image] for image in images], np.object_)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def test_every_request_gets_its_own_readings(
    model: TritonPythonModel, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    requests = [
        FakeRequest(**{IMAGE: files([png(image) for image in tiny_pictures[:3]])}),
        FakeRequest(**{PIXELS: np.stack(tiny_pictures[3:5])[..., None]}),
        FakeRequest(**{IMAGE: files([b"garbage", png(tiny_pictures[5])])}),
        FakeRequest(),
        FakeRequest(**{IMAGE: files([b""]), PIXELS: np.zeros((1, 2, 2, 1), np.uint8)}),
    ]
    responses = model.execute(requests)
    model.finalize()
    labels = [[text.decode() for text in tensors["label"].ravel()] for tensors, _ in responses if tensors]
    assert labels == [tiny_labels[:3], tiny_labels[3:5], ["", tiny_labels[5]]]
    garbage, _ = responses[2]
    assert garbage["error"][0, 0].startswith(b"image: ")
    assert garbage["error"][1, 0] == b""
    assert garbage["accepted"].tolist() == [[False], [True]]
    assert garbage["confidence"][0, 0] == 0
    assert garbage["confidence"][1, 0] > 0
    assert ["exactly one" in (error or "") for _, error in responses] == [False, False, False, True, True]


def test_the_outputs_are_those_of_the_configuration() -> None:
    reading = Reading("서울", "A", 0.5, (), (), accepted=True)
    tensors = columns([reading, ImageError("image: \udc80")])
    types = {"STRING": np.object_, "FP32": np.float32, "BOOL": np.bool_}
    assert {name: tensor.dtype.type for name, tensor in tensors.items()} == {
        name: types[datatype] for name, datatype in OUTPUTS.items()
    }
    assert {tensor.shape for tensor in tensors.values()} == {(2, 1)}
    assert tensors["text"].ravel().tolist() == ["서울".encode(), b""]
    assert tensors["error"][1, 0] == b"image: \\udc80"


def test_an_error_does_not_name_a_place_among_the_images_of_others(tiny_artifact: Path) -> None:
    with open_reader(tiny_artifact, workers=1) as reader:
        results = read(reader, [np.zeros((0, 0), np.uint8), b"rubbish"])
    assert all(str(result).startswith("image: ") for result in results)


@pytest.mark.parametrize(("visible", "chosen"), [("", "1"), ("2,5", "5")])
def test_an_instance_on_a_gpu_sees_only_its_own(
    monkeypatch: pytest.MonkeyPatch, visible: str, chosen: str, fake_triton: None
) -> None:
    import os

    from edge_crnn.scale.triton import backend

    def opened(*_: Any, **__: Any) -> Any:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == chosen
        spec = SimpleNamespace(input=SimpleNamespace(height=1, width=1))
        return SimpleNamespace(spec=spec, read=lambda image: None)

    stub: Callable[..., Any] = opened
    monkeypatch.setattr(backend, "open_reader", stub)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    parameters = {"settings": {"string_value": "{}"}, "file": {"string_value": "tiny.engine"}}
    TritonPythonModel().initialize(
        {
            "model_config": json.dumps({"parameters": parameters}),
            "model_repository": "models",
            "model_version": "1",
            "model_instance_kind": "GPU",
            "model_instance_device_id": "1",
        }
    )
