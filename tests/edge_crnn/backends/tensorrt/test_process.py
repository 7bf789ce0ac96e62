"""Engines from artifacts, on a fake TensorRT in real processes: whole or not at all, with the spec of the `.onnx`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_crnn.backends.tensorrt import process as trt_process
from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.backends.tensorrt.process import make_engine, options_of
from edge_crnn.errors import BackendError, BackendUnavailable, OutputError
from edge_crnn.model.artifact import Artifact, load, save, sidecar
from edge_crnn.model.spec import Parity
from tests.fake_tensorrt import save_onnx

pytestmark = pytest.mark.thorough

Stub = Callable[..., None]


@pytest.fixture
def onnx(tmp_path: Path) -> Artifact:
    return save_onnx(tmp_path / "plates.onnx")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "plates.engine"


def test_an_engine_and_its_spec(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub("8.6.1")
    engine = make_engine(onnx, target, BuildOptions((1, 2, 4)))
    assert engine == load(target)
    assert engine.payload == b"plan"
    assert sorted(file.name for file in target.parent.iterdir()) == ["plates.engine", "plates.engine.json"]
    facts = engine.spec.artifact
    before = onnx.spec.artifact
    assert facts is not None
    assert before is not None
    assert (facts.format, facts.recipe, facts.batch) == ("engine", "float16", 4)
    assert facts.source_sha256 == before.source_sha256
    assert facts.tools["engine"] == "tensorrt 8.6.1"
    assert facts.tools["gpu"] == "Orin, 8.7"
    assert facts.tools["precision"] == "float16: all 1 convolutions are float16"
    assert facts.tools["onnx sha256"] == before.payload_sha256
    assert replace(engine.spec, artifact=None) == replace(onnx.spec, artifact=None, parity=None)


@pytest.mark.parametrize("options", [BuildOptions(), BuildOptions((2, 3, 5), 1 << 20, None, None, ("A", "B"))])
def test_an_engine_tells_how_it_was_built(stub: Stub, onnx: Artifact, target: Path, options: BuildOptions) -> None:
    stub()
    make_engine(onnx, target, replace(options, log=target.with_name("log.txt")))
    assert options_of(load(target)) == options


def test_without_a_gpu_the_spec_names_none(
    stub: Stub, onnx: Artifact, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # where there is one
    stub(gpu=None)
    facts = make_engine(onnx, target).spec.artifact
    assert facts is not None
    assert "gpu" not in facts.tools


def test_the_parity_of_the_onnx_is_not_the_engines(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub()
    verdict = Parity("pass", 0.995, 0.3, 1.0, (0.99, 1.0), 0.99, 0.0, (0.0, 0.0), 1.0, 0.0, ())
    verified = save(target.with_suffix(".onnx"), onnx.payload, replace(onnx.spec, parity=verdict))
    assert load(verified.path).spec.parity == verdict
    assert make_engine(verified, target).spec.parity is None


def test_an_artifact_need_not_be_a_file(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub()
    assert make_engine(replace(onnx, path=Path("nowhere.onnx")), target).payload == b"plan"


def test_an_engine_of_any_bytes(stub: Stub, onnx: Artifact, target: Path) -> None:
    plan = b"\n\0\xff" * 100_000
    stub(plan=plan)
    assert make_engine(onnx, target).payload == plan


def test_output_of_libraries_does_not_reach_the_engine(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub(before="print('a banner'); os.write(1, b'another')")
    assert make_engine(onnx, target).payload == b"plan"


def test_options_reach_the_other_process(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub()
    cache, log = target.parent / "timing.cache", target.parent / "log.txt"
    options = BuildOptions((2, 3, 5), 1 << 20, cache, log, ("EDGE_MASK_CONVOLUTIONS",))
    facts = make_engine(onnx, target, options).spec.artifact
    assert facts is not None
    assert facts.batch == 5
    assert cache.read_bytes() == b"measured"
    assert "a tactic" in log.read_text()


def test_a_terminal_sees_how_far_it_is(stub: Stub, onnx: Artifact, target: Path) -> None:
    """Also where the program keeps its libraries' chatter off its stderr, as `edge-crnn` does."""
    stub("10.13.3", before="import edge_crnn.progress; edge_crnn.progress._REDRAW_S = 0")
    theirs, ours = os.openpty()
    program = f"""
        import os, sys
        sys.path[:] = {sys.path!r}
        from pathlib import Path
        from edge_crnn.model.artifact import load
        from edge_crnn.backends.tensorrt.process import make_engine
        sys.stderr = os.fdopen(os.dup(2), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        make_engine(load(Path({str(onnx.path)!r})), Path({str(target)!r}))
    """
    subprocess.run([sys.executable, "-c", "\n".join(map(str.strip, program.splitlines()))], stderr=ours, check=True)
    os.close(ours)
    drawn = os.read(theirs, 10_000).decode().split("\r")
    os.close(theirs)
    assert [line.rstrip() for line in drawn] == [
        "", "building plates.engine: starting 0/1", "building plates.engine: Building 1/2", "", "",
    ]  # fmt: skip


FAILURES = {
    "a build": ({"fails": True}, r"^plates.engine: TensorRT 10.3.0 built no engine .out of memory.$"),
    "no GPU": ({"no_gpu": True}, "are a GPU and its driver installed"),
    "single precision": (
        {"layers": {"Layers": [{"LayerType": "CaskConvolution", "Inputs": [{"Datatype": "Float"}]}]}},
        "does not have half",
    ),
    "a crash": ({"before": "os.abort()"}, r"^plates.engine: the build was killed by SIGABRT$"),
    "out of memory": ({"before": "os.kill(os.getpid(), signal.SIGKILL)"}, "the build was killed by SIGKILL"),
    "a defect": ({"before": "os._exit(3)"}, r"the build ended with status 3 and no message"),
    "a silent end": ({"before": "os._exit(0)"}, r"the build ended with status 0 and no message"),
}


@pytest.mark.parametrize(("knobs", "message"), FAILURES.values(), ids=FAILURES)
def test_a_build_that_fails_leaves_nothing(
    stub: Stub, onnx: Artifact, target: Path, knobs: dict[str, object], message: str
) -> None:
    stub(**knobs)
    with pytest.raises(BackendError, match=message):
        make_engine(onnx, target)
    assert not list(target.parent.iterdir())


def test_a_build_that_takes_too_long_is_stopped(stub: Stub, onnx: Artifact, target: Path) -> None:
    process = target.with_name("process")
    stub(before=f"open({str(process)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    for patience in (2, 60):  # a busy machine takes more than two seconds to start it
        with pytest.raises(BackendError, match=rf"plates.engine: not built within {patience} s and stopped; give it"):
            make_engine(onnx, target, timeout=patience)
        if process.exists():
            break
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.read_text()), 0)
    assert [file.name for file in target.parent.iterdir()] == ["process"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_a_build_ends_with_the_process_that_waits_for_it(stub: Stub, onnx: Artifact, target: Path) -> None:
    process = target.with_name("process")
    stub(before=f"open({str(process)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from edge_crnn.model.artifact import load\n"
        "from edge_crnn.backends.tensorrt.process import make_engine\n"
        f"make_engine(load(Path({str(onnx.path)!r})), Path({str(target)!r}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as waiting:
        until(lambda: process.exists() and process.read_text())
        waiting.send_signal(signal.SIGKILL)
    until(lambda: not is_running(process.read_text()))
    assert [file.name for file in target.parent.iterdir()] == ["process"]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(process: str) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"  # ended, and nobody has asked how


def test_older_engine_stays_until_the_new_one_is_complete(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub()
    before = make_engine(onnx, target)
    stub(fails=True)
    with pytest.raises(BackendError):
        make_engine(onnx, target)
    assert load(target) == before


def test_layers_that_are_to_stay_float32_are_not_promised(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub(before="os.abort()")
    assert onnx.spec.artifact is not None
    kept = replace(onnx.spec.artifact, float_layers=("conv1", "conv2"))
    with pytest.raises(BackendError, match=r"^plates.onnx: keeps conv1, conv2 in float32, .*without --float"):
        make_engine(replace(onnx, spec=replace(onnx.spec, artifact=kept)), target)
    assert not list(target.parent.iterdir())


def test_float32_is_built_too(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub(layers=None)
    facts = make_engine(save_onnx(onnx.path, "float32"), target).spec.artifact
    assert facts is not None
    assert facts.tools["precision"] == "float32, as the file is typed"


def test_where_nothing_can_be_written_nothing_is_built(stub: Stub, onnx: Artifact, target: Path) -> None:
    stub(before="os.abort()")
    nowhere = target.parent / "no"
    with pytest.raises(OutputError, match="cannot write"):
        make_engine(onnx, nowhere / target.name)
    for options in (BuildOptions(log=nowhere / "log.txt"), BuildOptions(timing_cache=nowhere / "timing.cache")):
        with pytest.raises(OutputError, match="cannot write"):
            make_engine(onnx, target, options)
    assert not list(target.parent.iterdir())
    assert not sidecar(target).exists()


def test_without_tensorrt_the_message_says_how_to_get_it(
    onnx: Artifact, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trt_process, "is_there", lambda: False)
    for name in trt_process.MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=r"is installed; JetPack installs .* --system-site-packages"):
        make_engine(onnx, target)
