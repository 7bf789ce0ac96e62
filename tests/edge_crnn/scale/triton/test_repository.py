from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import InputError, OutputError
from edge_crnn.model.artifact import Artifact, load, save
from edge_crnn.reader import open_reader
from edge_crnn.scale.triton.repository import Serving, _quoted, network_config, reader_config, write_repository


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def parameters(config: str) -> dict[str, str]:
    found = re.findall(r'^parameters \{ key: "(.+)" value \{ string_value: "(.*)" \} \}$', config, re.M)
    return {key: re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), value) for key, value in found}


@pytest.fixture
def engine(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Artifact:
    """An `.engine` of at most 8 images, whose payload no TensorRT would take."""
    artifact = load(tiny_onnx())
    assert artifact.spec.artifact is not None
    facts = replace(artifact.spec.artifact, format="engine", batch=8)
    return save(tmp_path / "tiny.engine", b"plan", replace(artifact.spec, artifact=facts))


def test_a_tflite_gives_a_reader_that_can_be_opened(tiny_artifact: Path, tmp_path: Path) -> None:
    (folder,) = write_repository(load(tiny_artifact), tmp_path / "new/models", "plates", Serving())
    assert files(tmp_path / "new") == {
        f"models/plates/{name}" for name in ("config.pbtxt", "1/model.py", f"1/{tiny_artifact.name}")
    }
    with open_reader(folder / "1" / tiny_artifact.name) as reader:
        assert reader.spec.artifact is not None
        sha256 = reader.spec.artifact.payload_sha256
    config = (folder / "config.pbtxt").read_text()
    assert parameters(config)["sha256"] == sha256
    assert parameters(config)["file"] == tiny_artifact.name


def test_an_onnx_gives_a_network_too(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    artifact = load(tiny_onnx())
    _, network = write_repository(artifact, tmp_path, "plates", Serving(batch=16))
    assert files(network) == {"config.pbtxt", "1/model.onnx"}
    assert (network / "1/model.onnx").read_bytes() == artifact.payload
    config = (network / "config.pbtxt").read_text()
    assert 'platform: "onnxruntime_onnx"' in config
    assert "max_batch_size: 16" in config
    assert config.count("model_warmup") == 2


def test_the_configuration_of_a_network_is_that_of_its_file(tiny_onnx: Callable[..., Path]) -> None:
    import onnxruntime

    artifact = load(tiny_onnx())
    session = onnxruntime.InferenceSession(artifact.payload)
    types = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}
    config = network_config(artifact, "plates", Serving())
    for kind, (tensor,) in (("input", session.get_inputs()), ("output", session.get_outputs())):
        dims = " ".join(f"dims: {size}" for size in tensor.shape[1:])
        assert f'\n{kind} {{ name: "{tensor.name}" data_type: TYPE_{types[tensor.type]} {dims} }}\n' in config


def test_an_engine_gives_a_plan_and_keeps_its_spec(engine: Artifact, tmp_path: Path) -> None:
    reader, network = write_repository(engine, tmp_path / "models", "plates", Serving(gpus=True))
    assert files(reader) == {"config.pbtxt", "1/model.py", "1/tiny.engine", "1/tiny.engine.json"}
    assert files(network) == {"config.pbtxt", "1/model.plan"}
    config = (network / "config.pbtxt").read_text()
    assert 'platform: "tensorrt_plan"' in config
    assert "max_batch_size: 8" in config  # no more than its profile
    assert "kind: KIND_GPU" in config
    assert load(reader / "1/tiny.engine").payload == b"plan"


def test_an_onnx_on_a_gpu_is_read_with_tensorrt(tiny_onnx: Callable[..., Path]) -> None:
    config = reader_config(load(tiny_onnx()), "plates", Serving(gpus=True, reader={"grammar": "[0-9]+"}))
    assert json.loads(parameters(config)["settings"]) == {"engine": "tensorrt", "grammar": "[0-9]+"}


def test_how_it_is_served(tiny_onnx: Callable[..., Path]) -> None:
    config = network_config(load(tiny_onnx()), "plates", Serving(instances=3, batch=1, delay_s=0.0015))
    assert "max_queue_delay_microseconds: 1500" in config
    assert "count: 3\n  kind: KIND_CPU" in config
    assert config.count("model_warmup") == 1


def test_a_tflite_has_no_gpu(tiny_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CPUs only"):
        write_repository(load(tiny_artifact), tmp_path, "plates", Serving(gpus=True))
    assert files(tmp_path) == set()


@pytest.mark.parametrize("name", ["", ".plates", "a b", "a/b", "../a", "x" * 101, "판"])
def test_names_that_triton_or_a_file_system_refuses(name: str, tiny_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found the name"):
        write_repository(load(tiny_artifact), tmp_path, name, Serving())


def test_a_model_that_exists_is_kept(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "plates_network").mkdir()
    with pytest.raises(InputError, match="plates_network exists"):
        write_repository(load(tiny_onnx()), tmp_path, "plates", Serving())
    assert not (tmp_path / "plates").exists()


def test_a_folder_that_cannot_be_written_keeps_nothing(tiny_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_repository(load(tiny_artifact), tmp_path / "file", "plates", Serving())
    assert files(tmp_path) == {"file"}


@given(st.text())
def test_quoted_text_has_only_printable_ascii(text: str) -> None:
    quoted = _quoted(text)
    assert re.fullmatch(r'"([ !#-\[\]-~]|\\\d{3})*"', quoted)
    codes = re.findall(r"\\(\d{3})|(.)", quoted[1:-1])
    assert bytes(int(code, 8) if code else ord(letter) for code, letter in codes).decode() == text
