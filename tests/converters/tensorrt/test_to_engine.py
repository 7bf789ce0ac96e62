"""The command that builds an engine, on a fake TensorRT; how it builds: the runtime's own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.tensorrt.to_engine import how_to_build, main, to_engine
from edge_crnn.backends.tensorrt import process as trt_process
from edge_crnn.backends.tensorrt.build import BuildOptions, Built
from edge_crnn.backends.tensorrt.process import TIMEOUT_S
from edge_crnn.errors import ArtifactError, InputError
from edge_crnn.model.artifact import load, save, sidecar

ROOT = Path(__file__).parents[3]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "plates.engine"


def test_unusable_source_is_refused(tiny_onnx: Callable[..., Path], target: Path) -> None:
    with pytest.raises(
        InputError, match=r"found plates.engine and x.onnx, expected NAME.onnx to build from and NAME.eng"
    ):
        to_engine(target, Path("x.onnx"))
    with pytest.raises(ArtifactError, match=r"none.onnx: cannot be read"):
        to_engine(target.with_name("none.onnx"), target)
    assert not list(target.parent.iterdir())


def test_command_for_the_device_works(stub: Callable[..., None], tiny_onnx: Callable[..., Path], target: Path) -> None:
    stub()
    source = load(tiny_onnx("float16"))
    onnx = save(target.with_suffix(".onnx"), source.payload, source.spec).path
    *_, line = how_to_build(onnx, target, BuildOptions((1, 4, 16))).splitlines()
    words = line.split()
    assert words[0] == "edge-crnn"
    ended = subprocess.run(
        [sys.executable, "-m", "edge_crnn", *words[1:]],
        cwd=target.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path[:1], str(ROOT)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "plates.engine: 4 bytes, tensorrt 10.3.0, float16: all 1 convolutions are float16\n"
    facts = load(target).spec.artifact
    assert facts is not None
    assert facts.batch == 16


def test_the_command_s_options_reach_tensorrt(
    stub: Callable[..., None], tiny_onnx: Callable[..., Path], target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    cache, log = target.parent / "timing.cache", target.parent / "log.txt"
    words = [tiny_onnx("float16"), "-o", target, "--timing-cache", cache, "--log", log, "--batches", 2, 3, 5]
    assert main([*map(str, words), "--tactic-sources", "EDGE_MASK_CONVOLUTIONS"]) == 0
    assert capsys.readouterr().out.startswith(f"{target}: 4 bytes, tensorrt 10.3.0, float16: ")
    facts = load(target).spec.artifact
    assert facts is not None
    assert facts.batch == 5
    assert cache.read_bytes() == b"measured"
    assert "a tactic" in log.read_text()


@pytest.mark.parametrize(("words", "seconds"), [([], TIMEOUT_S), (["--timeout", "5"], 5.0)])
def test_no_build_may_take_forever(
    tiny_onnx: Callable[..., Path],
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    seconds: float,
) -> None:
    timeouts = []

    def build(*wish: Any) -> Built:
        timeouts.append(wish[-1])
        return Built(b"plan", "tensorrt 10.3.0", "float16", None)

    monkeypatch.setattr(trt_process, "is_there", lambda: True)
    monkeypatch.setattr(trt_process, "_build_apart", build)
    assert main([str(tiny_onnx("float16")), "-o", str(target), *words]) == 0
    assert to_engine(tiny_onnx("float16"), target).payload == b"plan"
    assert timeouts == [seconds, TIMEOUT_S]


def test_the_command_fails_in_a_line(
    stub: Callable[..., None], tiny_onnx: Callable[..., Path], target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(unparsable=True)
    assert main([str(tiny_onnx("float16")), "-o", str(target)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[1:] == ["plates.engine: TensorRT 10.3.0 rejects the graph (error 0; error 1)"]
    assert not sidecar(target).exists()
