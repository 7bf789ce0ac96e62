"""The engine that opens a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_crnn import open_reader
from edge_crnn.backends import open_backend
from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt import engine as trt
from edge_crnn.cli.main import main
from edge_crnn.errors import ArtifactError, BackendUnavailable, InputError
from edge_crnn.model.artifact import Artifact, save
from tests.fake_tensorrt import save_onnx

Stub = Callable[..., None]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Artifact]:
    """The artifacts that fake backends were opened with."""
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(tmp_path / "cache"))
    artifacts: list[Artifact] = []

    def opens(name: str) -> Callable[[Artifact, int], Any]:
        def start(artifact: Artifact, threads: int) -> Any:
            artifacts.append(artifact)
            facts = SimpleNamespace(name=name, version="1", notes=(), max_batch=None, device="cpu")
            return SimpleNamespace(facts=facts, close=lambda: None, infer=lambda _: np.zeros((0, 16, 11), np.float32))

        return start

    onnxrt: Any = ModuleType("edge_crnn.backends.onnxrt")  # the real one needs ONNX Runtime
    onnxrt.OnnxRuntimeBackend = opens("onnxrt")
    monkeypatch.setitem(sys.modules, onnxrt.__name__, onnxrt)
    monkeypatch.setattr(trt, "TrtBackend", opens("tensorrt"))
    return artifacts


def test_onnx_runs_on_onnx_runtime_unless_tensorrt_is_requested(
    stub: Stub, opened: list[Artifact], tmp_path: Path
) -> None:
    stub()
    onnx = save_onnx(tmp_path / "plates.onnx")
    for engine in (None, "onnxrt"):
        assert open_backend(onnx.path, engine=engine).facts.name == "onnxrt"
    assert opened == [onnx, onnx]
    assert open_backend(onnx.path, engine="tensorrt").facts.name == "tensorrt"
    with open_reader(onnx.path, engine="tensorrt") as reader:
        assert reader.spec == onnx.spec
    for artifact in opened[2:]:
        assert (artifact.payload, artifact.path) == (b"plan", onnx.path)
        assert artifact.spec.artifact is not None
        assert artifact.spec.artifact.format == "engine"


def test_an_engine_runs_on_tensorrt(stub: Stub, opened: list[Artifact], tmp_path: Path) -> None:
    stub()
    onnx = save_onnx(tmp_path / "plates.onnx")
    engine = save(tmp_path / "plates.engine", b"plan", onnx.spec)
    for name in (None, "tensorrt"):
        assert open_backend(engine.path, engine=name).facts.name == "tensorrt"
    assert opened == [engine, engine]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("suffix", "engine", "engines"),
    [
        (".tflite", "tensorrt", "litert"),
        (".tflite", "onnxrt", "litert"),
        (".onnx", "litert", "onnxrt, tensorrt"),
        (".engine", "onnxrt", "tensorrt"),
        (".onnx", "TensorRT", "onnxrt, tensorrt"),
        (".onnx", "", "onnxrt, tensorrt"),
    ],
)
def test_an_engine_that_does_not_take_such_a_file(suffix: str, engine: str, engines: str) -> None:
    with pytest.raises(InputError, match=rf"^x{suffix}: found engine '{engine}', .*{suffix}: {engines}$"):
        open_backend(Path(f"x{suffix}"), engine=engine)


def test_a_file_of_no_known_kind() -> None:
    with pytest.raises(ArtifactError, match=r"no engine for '.pt', expected .tflite, .onnx, .engine$"):
        open_backend(Path("x.pt"))


def test_all_that_an_engine_lacks_is_named_in_one_line(
    opened: list[Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "pycuda", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cuda, "_LIBRARY", "libcuda_of_nobody.so.1")
    cuda._driver.cache_clear()
    onnx = save_onnx(tmp_path / "plates.onnx")
    engine = save(tmp_path / "plates.engine", b"plan", onnx.spec)
    missing = "none of tensorrt, .* pycuda is not installed, .* there is no NVIDIA driver .*"
    for file in (onnx, engine):
        with pytest.raises(BackendUnavailable, match=f"^{file.path.name}: .*{missing}"):
            open_backend(file, engine="tensorrt")
    assert main(["info", str(engine.path)]) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("engine"))
    assert line.startswith(
        "engine       plates.engine: TensorRT engines do not run on this machine: none of tensorrt, "
    )
    assert main(["info", str(onnx.path)]) == 0  # ONNX Runtime is there
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "engine       onnxrt, 1",
        "tensorrt     missing: TensorRT, pycuda, a GPU; edge-crnn read --engine tensorrt says why",
    ]
    assert main(["read", "--engine", "tensorrt", "--model", str(onnx.path), "x.png"]) == 1
    assert capsys.readouterr().err.startswith("edge-crnn read: plates.onnx: TensorRT engines do not run")


def test_read_uses_the_engine_of_its_option(
    stub: Stub, opened: list[Artifact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    onnx = save_onnx(tmp_path / "plates.onnx")
    main(["read", "--engine", "tensorrt", "--workers", "1", "--model", str(onnx.path), "none.png"])
    assert [artifact.payload for artifact in opened] == [b"plan"]
    assert "building the engine of plates.onnx, once" in capsys.readouterr().err
    assert main(["info", str(onnx.path)]) == 0
    assert "tensorrt     tensorrt 10.3.0 on Orin, 8.7; its engine is in the cache\n" in capsys.readouterr().out
    assert main(["read", "--engine", "litert", "--model", str(onnx.path), "none.png"]) == 1
    assert "plates.onnx: found engine 'litert', expected one for .onnx: onnxrt, tensorrt" in capsys.readouterr().err


def test_to_open_a_tflite_costs_nothing_of_this(tiny_artifact: Path) -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from edge_crnn.backends import open_backend\n"
        f"open_backend(Path({str(tiny_artifact)!r}))\n"
        "print(*(name for name in sys.modules if 'tensorrt' in name))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "edge_crnn" not in ended.stdout
