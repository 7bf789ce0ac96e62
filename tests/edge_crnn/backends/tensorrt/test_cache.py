"""Engines kept for the next start, on a fake TensorRT and a fake GPU in real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_crnn.backends.tensorrt import cache as engine_cache
from edge_crnn.backends.tensorrt import cuda
from edge_crnn.backends.tensorrt import process as trt_process
from edge_crnn.backends.tensorrt.build import BuildOptions, Built, build, import_tensorrt
from edge_crnn.backends.tensorrt.cache import cached_engine, state
from edge_crnn.errors import BackendError, BackendUnavailable, OutputError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import Artifact, load, save, sidecar
from tests.fake_tensorrt import save_onnx

pytestmark = pytest.mark.thorough

Stub = Callable[..., None]


@pytest.fixture
def onnx(tmp_path: Path) -> Artifact:
    return save_onnx(tmp_path / "plates.onnx")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which engines are kept."""
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds are part of this process, which saves the start of another."""

    def build_here(onnx: Artifact, name: str, half: bool, options: BuildOptions, timeout: float) -> Built:
        return build(import_tensorrt(), onnx.payload, half, options)

    monkeypatch.setattr(trt_process, "_build_apart", build_here)


def engines(folder: Path) -> list[str]:
    """The payloads, and nothing may lie beside them but their specs, the lock and what was measured."""
    files = sorted(folder.glob("*.engine"))
    expected = {file.name for file in files} | {sidecar(file).name for file in files} | {"lock", "timing.cache"}
    assert {file.name for file in folder.iterdir()} <= expected
    return [file.read_text() for file in files]


def test_it_is_built_once(stub: Stub, onnx: Artifact, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stub()
    built = cached_engine(onnx)
    assert capsys.readouterr().err == "edge-crnn: building the engine of plates.onnx, once; it may take minutes\n"
    stub(fails=True)
    assert cached_engine(onnx) == built
    assert capsys.readouterr().err == ""
    assert built.payload == b"plan"
    assert engines(folder) == ["plan"]
    facts = built.spec.artifact
    assert facts is not None
    assert (facts.format, facts.payload_sha256) == ("engine", sha256(b"plan"))
    assert replace(built.spec, artifact=onnx.spec.artifact) == onnx.spec
    assert built.path == onnx.path  # for messages


@pytest.mark.usefixtures("here")
def test_another_spec_of_the_same_network_is_used_and_rebuilds_nothing(
    stub: Stub, onnx: Artifact, folder: Path
) -> None:
    stub()
    before = cached_engine(onnx)
    stub(fails=True)
    decoder = replace(onnx.spec.decoder, reject_below=0.75)
    save(onnx.path, onnx.payload, replace(onnx.spec, name="calibrated", decoder=decoder))
    after = cached_engine(load(onnx.path))
    assert (after.payload, after.spec.artifact) == (before.payload, before.spec.artifact)
    assert (after.spec.name, after.spec.decoder) == ("calibrated", decoder)


OTHERS: dict[str, Callable[[Stub, Artifact], Path]] = {
    "network": lambda stub, onnx: place(save_onnx(onnx.path, graph="other")),
    "recipe": lambda stub, onnx: place(save_onnx(onnx.path, "float16-mixed")),
    "TensorRT": lambda stub, onnx: (stub("10.13.3"), place(onnx))[1],
    "GPU": lambda stub, onnx: (stub(gpu="Thor"), place(onnx))[1],
    "compute capability": lambda stub, onnx: (on("8.9"), place(onnx))[1],
    "how it is built": lambda stub, onnx: (setattr(engine_cache, "REVISION", 0), place(onnx))[1],
    "batches": lambda stub, onnx: place(onnx, BuildOptions((1, 8, 64))),
    "workspace": lambda stub, onnx: place(onnx, BuildOptions(workspace=1 << 20)),
    "tactics": lambda stub, onnx: place(onnx, BuildOptions(tactic_sources=("JIT_CONVOLUTIONS",))),
}


def on(compute_capability: str, driver: str = "12.6") -> None:
    """Pretend that there is a GPU like this; the fixture `stub` undoes it."""
    cuda.gpu = lambda: cuda.Gpu("Orin", compute_capability, driver)  # type: ignore[method-assign]


def place(onnx: Artifact, options: BuildOptions | None = None) -> Path:
    return engine_cache._Entry.of(onnx, options or BuildOptions()).path


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_changed_dependency_needs_another_engine(
    stub: Stub, onnx: Artifact, other: Callable[[Stub, Artifact], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "REVISION", 1)
    stub()
    before = place(onnx)
    assert other(stub, onnx) != before


def test_unrelated_change_needs_no_other_engine(stub: Stub, onnx: Artifact) -> None:
    stub()
    before = place(onnx)
    assert place(onnx, BuildOptions(timing_cache=Path("timing.cache"), log=Path("log.txt"))) == before
    assert place(replace(onnx, path=Path("renamed.onnx"))) == before
    on("8.7", driver="13.0")
    assert place(onnx) == before
    other = save(onnx.path, onnx.payload, replace(onnx.spec, name="other", label_map={"1": "one"}))
    assert place(other) == before


@pytest.mark.usefixtures("here")
def test_timing_cache_serves_the_next_network(stub: Stub, onnx: Artifact, folder: Path) -> None:
    stub()
    cached_engine(onnx)
    cached_engine(save_onnx(onnx.path, graph="other"))
    assert (folder / "timing.cache").read_bytes() == b"measuredmeasured"


def swap(engine: Path) -> None:
    """Puts the engine of another network there, whole, under this one's name."""
    other = engine.with_name("other.engine")
    tools = {**load(engine).spec.artifact.tools, "onnx sha256": "0" * 64}  # type: ignore[union-attr]
    spec = load(engine).spec
    save(other, b"other", replace(spec, artifact=replace(spec.artifact, tools=tools)))  # type: ignore[type-var]
    other.replace(engine)
    sidecar(other).replace(sidecar(engine))


SPOILT: dict[str, Callable[[Path], object]] = {
    "changed": lambda engine: engine.write_bytes(b"pian"),
    "cut short": lambda engine: engine.write_bytes(b"pla"),
    "empty": lambda engine: engine.write_bytes(b""),
    "without a spec": lambda engine: sidecar(engine).unlink(),
    "with no spec": lambda engine: sidecar(engine).write_text("{"),
    "of another network": swap,
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_engine_that_does_not_match_its_name_is_rebuilt(
    stub: Stub, onnx: Artifact, folder: Path, spoil: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    stub()
    before = cached_engine(onnx)
    (engine,) = folder.glob("*.engine")
    spoil(engine)
    capsys.readouterr()
    assert cached_engine(onnx) == before
    assert capsys.readouterr().err == (
        "edge-crnn: building the engine of plates.onnx again: it is damaged in the cache\n"
    )
    assert engines(folder) == ["plan"]


def test_engine_built_on_another_gpu_is_refused(
    stub: Stub, onnx: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub()
    engine_cache.import_tensorrt()
    monkeypatch.setattr(cuda, "gpu", lambda: cuda.Gpu("Thor", "11.0", "13.0"))  # here, not in the build's process
    with pytest.raises(
        BackendError,
        match=r"built by tensorrt 10.3.0 on Orin, 8.7, but runs with tensorrt 10.3.0 on Thor, 11.0; set CUDA_VIS",
    ):
        cached_engine(onnx)


@pytest.mark.usefixtures("here")
def test_the_engines_that_were_used_last_are_kept(
    stub: Stub, onnx: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "_KEPT", 2)
    networks = {name: save_onnx(onnx.path.with_stem(name), graph=name) for name in "abc"}
    for name in "abac":
        stub(plan=name.encode())
        cached_engine(networks[name])
    assert sorted(engines(folder)) == ["a", "c"]


# --- processes beside each other -------------------------------------------------------------------------------------


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(onnx: Artifact) -> Iterator[Start]:
    """`start(more)`: another process opens the engine and prints it; Python in `more` runs before."""
    started = []

    def start(more: str = "") -> subprocess.Popen[str]:
        program = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            "from pathlib import Path\n"
            "from edge_crnn.model.artifact import load\n"
            "from edge_crnn.backends.tensorrt import cache\n"
            f"{more}\n"
            f"print(cache.cached_engine(load(Path({str(onnx.path)!r}))).payload.decode())\n"
        )
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", program], text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def slow(stub: Stub, begun: Path, go: Path) -> None:
    """Builds write a line into `begun`, and go on when there is a `go`."""
    stub(
        meanwhile="import os, pathlib, time\n"
        f"with open({str(begun)!r}, 'a') as file: file.write(f'{{os.getpid()}}\\n')\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
    )


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    return tmp_path / "begun"


def test_two_processes_build_once(stub: Stub, start: Start, folder: Path, begun: Path, tmp_path: Path) -> None:
    slow(stub, begun, tmp_path / "go")
    first = start()
    until(begun.exists)
    second = start()
    assert second.stderr is not None
    line = second.stderr.readline()
    assert line == "edge-crnn: another process builds an engine; plates.onnx waits for it\n"
    (tmp_path / "go").touch()
    ends = [process.communicate(timeout=60) for process in (first, second)]
    assert ends == [
        ("plan\n", "edge-crnn: building the engine of plates.onnx, once; it may take minutes\n"),
        ("plan\n", ""),
    ]
    assert len(begun.read_text().splitlines()) == 1
    assert engines(folder) == ["plan"]


@pytest.mark.parametrize("victim", ["the process", "its build"])
def test_a_killed_build_leaves_nothing_and_blocks_nobody(
    stub: Stub, start: Start, folder: Path, begun: Path, tmp_path: Path, victim: str
) -> None:
    slow(stub, begun, tmp_path / "go")
    first = start()
    until(lambda: begun.exists() and begun.read_text().endswith("\n"))
    second = start()
    assert second.stderr is not None
    assert "waits for it" in second.stderr.readline()
    os.kill(first.pid if victim == "the process" else int(begun.read_text()), signal.SIGKILL)
    out, err = first.communicate(timeout=60)
    assert out == ""
    if victim == "its build":
        assert "plates.onnx: no engine (" in err
        assert "the build was killed by SIGKILL); edge-crnn build-engine with --log shows why" in err
    until(lambda: len(begun.read_text().splitlines()) == 2)  # the second one has its turn
    assert engines(folder) == []
    (tmp_path / "go").touch()
    assert second.communicate(timeout=60)[0] == "plan\n"
    assert engines(folder) == ["plan"]


@pytest.mark.usefixtures("here")
def test_temporary_file_of_a_killed_writer_is_removed(stub: Stub, onnx: Artifact, folder: Path) -> None:
    stub()
    folder.mkdir(parents=True)
    (folder / ".0123.engine.1.01234567.partial").write_bytes(b"pl")
    cached_engine(onnx)
    assert engines(folder) == ["plan"]


@pytest.mark.usefixtures("here")
def test_nobody_waits_forever(stub: Stub, onnx: Artifact, folder: Path) -> None:
    stub()
    with (
        engine_cache._lock(folder, "other.onnx", 1),
        pytest.raises(BackendError, match=r"plates.onnx: another process has been building engines for 0.1 s; end it"),
    ):
        cached_engine(onnx, timeout=0.1)
    cached_engine(onnx)
    with engine_cache._lock(folder, "other.onnx", 1):
        cached_engine(onnx, timeout=0.1)  # which is there


def test_a_build_that_takes_too_long_is_stopped(stub: Stub, onnx: Artifact, folder: Path) -> None:
    stub(meanwhile="import time; time.sleep(60)")
    with pytest.raises(BackendError, match=r"not built within 2 s and stopped"):
        cached_engine(onnx, timeout=2)
    assert engines(folder) == []


# --- where nothing can be written ------------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written(
    stub: Stub, onnx: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(meanwhile="import os; os.abort()")
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"file/engines: cannot store engines \(Not a directory\); set EDGE_CR"):
        cached_engine(onnx)


@pytest.mark.usefixtures("here")
def test_a_cache_that_can_only_be_read_is_read(stub: Stub, onnx: Artifact, folder: Path) -> None:
    stub()
    cached_engine(onnx)
    (folder / "lock").unlink()
    (folder / "lock").mkdir()  # a super-user can write where there is no permission to, but not this
    cached_engine(onnx)
    with pytest.raises(OutputError, match=r"cannot store engines \(Is a directory\)"):
        cached_engine(save_onnx(onnx.path, graph="other"))


def test_a_full_disk(stub: Stub, start: Start, folder: Path) -> None:
    stub(plan=bytes(100_000))
    no_more = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    out, err = start(no_more).communicate(timeout=60)
    assert out == ""
    assert ".engine: cannot write 100,000 bytes (File too large); name a file in a folder that has room" in err
    assert engines(folder) == []


# --- where it is, and what must be there -----------------------------------------------------------------------------


PLACES: dict[str, tuple[dict[str, str], str]] = {
    "its own": ({"EDGE_CRNN_CACHE": "/cache", "XDG_CACHE_HOME": "/xdg"}, "/cache/engines"),
    "that of all programs": ({"EDGE_CRNN_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/edge-crnn/engines"),
    "one that counts for nothing": ({"XDG_CACHE_HOME": "xdg", "HOME": "/home/me"}, "/home/me/.cache/edge-crnn/engines"),
    "the usual": ({"HOME": "/home/me"}, "/home/me/.cache/edge-crnn/engines"),
}


@pytest.mark.parametrize(("variables", "expected"), PLACES.values(), ids=PLACES)
def test_where_engines_are_kept(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGE_CRNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert engine_cache._folder() == Path(expected)


def test_all_that_is_missing_is_named_before_anything_is_done(
    stub: Stub, onnx: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(gpu=None)
    shutil.rmtree(onnx.path.parent / "site" / "pycuda")
    for name in ("pycuda", "pycuda.driver"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cuda, "_LIBRARY", "libcuda_of_nobody.so.1")
    cuda._driver.cache_clear()
    pycuda, gpu = r"pycuda is not installed, or does not start \(.*\); compile it .*", "there is no NVIDIA driver"
    with pytest.raises(BackendUnavailable, match=f"^plates.onnx: TensorRT engines do not run .*: {pycuda}. {gpu} "):
        cached_engine(onnx)
    assert state(onnx) == (False, "missing: pycuda, a GPU; edge-crnn read --engine tensorrt says why")
    assert not folder.exists()


@pytest.mark.usefixtures("here")
def test_state_says_what_remains_to_be_done(stub: Stub, onnx: Artifact, folder: Path) -> None:
    stub()
    assert state(onnx) == (
        True, "tensorrt 10.3.0 on Orin, 8.7; its engine is built on first use",
    )  # fmt: skip
    assert not folder.exists()
    cached_engine(onnx)
    assert state(onnx) == (True, "tensorrt 10.3.0 on Orin, 8.7; its engine is in the cache")
