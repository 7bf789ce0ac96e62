"""The check of a GPU machine, run whole on a CPU: ONNX Runtime stands for TensorRT, a script for PyTorch's process."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.gpu import check, measure
from benchmarks.gpu import set as gpu_set
from benchmarks.gpu.builds import Builds
from benchmarks.gpu.criteria import Criteria
from benchmarks.gpu.measure import growth, interleave, orders, soak, turn
from benchmarks.gpu.texts import layers_of
from benchmarks.gpu.work import Work
from benchmarks.peers import torch as torch_peer
from converters.artifact import make_onnx
from converters.graph import nodes as g
from converters.graph.graph import Graph
from converters.recipe import ONNX_RECIPES
from edge_crnn.backends import Backend, Probabilities, open_backend
from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.errors import BackendError, DatasetError
from edge_crnn.model.artifact import Artifact
from edge_crnn.preprocess import preprocess
from edge_crnn.records import form
from edge_crnn.records.gpu import Criterion, Gpu
from edge_crnn.records.record import load_record
from tests.conftest import TINY
from tests.fake_cuda import FakeGpu
from tests.fake_engine import Plan, answers
from tests.fake_tensorrt import VERSIONS

pytestmark = pytest.mark.thorough

pytest.importorskip("onnx", reason="the network is written with the package onnx")
pytest.importorskip("onnxruntime", reason="which stands for TensorRT here")

_FLOAT16 = "float16: all 7 convolutions are float16"

_PEER = """\
#!{python}
import json, sys
print(json.dumps({{"versions": {{"torch": "2"}}, "labels": {labels}}}), flush=True)
for line in sys.stdin:
    way, n, calls = json.loads(line)
    print(json.dumps({{"ms": [{ms}] * calls}}), flush=True)
"""

_BUILD = """\
import sys, time
from dataclasses import replace
from edge_crnn.backends.tensorrt import cache, process
from edge_crnn.model.artifact import save

def make(onnx, target, options, timeout):
    target.parent.mkdir(parents=True, exist_ok=True)
    {before}
    time.sleep({seconds})
    tools = {{"engine": "tensorrt 9", "gpu": "a GPU", "onnx sha256": onnx.spec.artifact.payload_sha256}}
    facts = replace(onnx.spec.artifact, format="engine", tools=tools)
    return save(target, b"plan", replace(onnx.spec, artifact=facts))

process.make_engine = make
cache._requirements = lambda: {{"TensorRT": "tensorrt 9", "pycuda": "2024", "a GPU": "a GPU"}}
{more}
from benchmarks.gpu import builds
sys.exit(builds.main())
"""


@pytest.fixture
def prepared(
    tiny_graph: Graph, tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path
) -> gpu_set.GpuSet:
    """Return a set of the tiny network, whose reference reads everything correctly."""
    folder = tmp_path / "sets" / "plates"
    folder.mkdir(parents=True)
    artifact = make_onnx(folder / "model.onnx", tiny_graph, TINY, ONNX_RECIPES["float16"], "0" * 64)
    pictures = [np.repeat(picture[..., None], 3, axis=2) for picture in tiny_pictures]
    pixels = preprocess(pictures, artifact.spec.input)
    about = gpu_set.About("8 images", "a test", "2026-01-01", "keras 3", 8, "0" * 64)
    gpu_set.write(folder, artifact, layers_of(tiny_graph, TINY.input), about, pixels, tiny_labels, pictures)
    return gpu_set.read(folder)


def _script(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def peer(tmp_path: Path, tiny_labels: list[str]) -> Callable[..., Path]:
    """Return a function that makes a substitute for a Python with PyTorch."""

    def make(ms: float = 1e4, labels: list[str] = tiny_labels) -> Path:
        return _script(tmp_path / "python", _PEER.format(python=sys.executable, labels=json.dumps(labels), ms=ms))

    return make


def _builder(folder: Path, before: str = "pass", seconds: float = 1.0, more: str = "") -> tuple[str, ...]:
    path = _script(folder / "build.py", _BUILD.format(before=before, seconds=seconds, more=more))
    return (sys.executable, "-c", f"import sys; sys.path.insert(0, '.'); exec(open({str(path)!r}).read())")


class _Engine:
    """ONNX Runtime, and something that is wrong with it."""

    def __init__(self, artifact: Artifact, spoil: Callable[[Probabilities], None]) -> None:
        self._engine = open_backend(artifact)
        self.facts = replace(self._engine.facts, max_batch=8)
        self._spoil = spoil

    def infer(self, batch: npt.NDArray[Any]) -> Probabilities:
        rows = self._engine.infer(batch)
        self._spoil(rows)
        return rows

    def close(self) -> None:
        self._engine.close()


def _sound(rows: Probabilities) -> None:
    pass


def _swaps_position_2(rows: Probabilities) -> None:
    if len(rows) > 2:
        rows[2] = rows[0]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Reduce the work, and keep the memory constant."""
    gc.freeze()  # the check collects garbage between calls, and other tests have left many objects behind
    monkeypatch.setattr(check, "MODELS", ("plates",))
    monkeypatch.setattr(check, "IMAGES", 8)
    monkeypatch.setattr(check, "LEAST_CALLS", 40)
    monkeypatch.setattr(check, "TEXT_SIZES", (1, 3, 8))
    monkeypatch.setattr(check, "CALLS", {1: 2, 256: 1})
    monkeypatch.setattr(measure, "SAMPLE_EVERY", 2)
    monkeypatch.setattr(measure, "rss_bytes", lambda: 1 << 20)
    monkeypatch.setenv("EDGE_CRNN_CACHE", str(tmp_path / "cache"))
    yield
    gc.unfreeze()


@pytest.fixture
def run(prepared: gpu_set.GpuSet, peer: Callable[..., Path], small: None, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs the command and returns its exit status and the JSON."""

    def checked(
        *words: str,
        spoil: Callable[[Probabilities], None] = _sound,
        precision: str = _FLOAT16,
        device: Callable[[], int] = lambda: 0,
        torch: Path | None = None,
        command: tuple[str, ...] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        def engine(artifact: Artifact, options: BuildOptions) -> Artifact:
            assert options.batches == (1, 32, 256)
            facts = artifact.spec.artifact
            assert facts is not None
            facts = replace(facts, tools={**facts.tools, "precision": precision})
            return replace(artifact, spec=replace(artifact.spec, artifact=facts))

        def opened(artifact: Artifact) -> Backend:
            return _Engine(artifact, spoil)

        runtime = check.Runtime(
            {"name": "a GPU"}, engine, opened, device, command or _builder(tmp_path), peer_device="cpu"
        )
        out = tmp_path / "out.json"
        usual = ["--sets", str(tmp_path / "sets"), "--torch-python", str(torch or peer()), "--rounds", "2"]
        status = check.main([str(out), *usual, "--calls", "40", *words], lambda: runtime)
        record = json.loads(out.read_text(encoding="utf-8"))
        assert isinstance(load_record(out).figures, Gpu)
        return status, record

    return checked


def _verdicts(record: dict[str, Any]) -> dict[str, str]:
    return {criterion["name"]: criterion["verdict"] for criterion in record["criteria"]}


def test_all_is_met_by_a_sound_engine(run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    status, record = run()
    table = capsys.readouterr().out
    assert status == 0, table
    assert set(_verdicts(record).values()) == {"met"}
    assert len(record["criteria"]) == 1 + 3 + 1 + 4 + 5
    for criterion in record["criteria"]:
        assert criterion["figure"] is not None
        assert criterion["note"]
        assert f"met      {criterion['name']} " in table
    assert record["sets"]["plates"]["reference"] == "keras 3"
    assert record["peer"] == {"torch": "2"}
    assert len(record["texts"]) == 9  # three sizes in three orders
    assert record["speed"][0]["peer_ms"] == 1e4
    assert {speed["way"] for speed in record["speed"]} == {"host to host", "pictures to text"}


def test_an_engine_whose_text_depends_on_the_position_fails(run: Callable[..., Any]) -> None:
    status, record = run("--only", "texts", spoil=_swaps_position_2)
    verdicts = _verdicts(record)
    assert status == 3
    assert verdicts["plates: batch invariance"] == "MISSED"
    assert verdicts["plates: text, 1 at once"] == "met"
    assert verdicts["plates: text, 3 at once"] == verdicts["plates: text, 8 at once"] == "MISSED"
    assert verdicts["builds, killed"] == "not run"
    turned = next(turned for turned in record["turned"] if turned["n"] == 8)
    assert turned["readings"] == 64
    assert turned["other"] == 8  # what stood at position 2, once for each image


def test_an_engine_of_single_precision_and_one_that_leaks_miss_their_gates(run: Callable[..., Any]) -> None:
    grows = iter(range(0, 1 << 40, 1 << 21))
    status, record = run("--only", "memory", precision="float32, as the file is typed", device=lambda: next(grows))
    verdicts = _verdicts(record)
    assert status == 3
    assert verdicts["plates: half precision"] == "MISSED"
    assert verdicts["memory of the device"] == "MISSED"
    assert verdicts["memory of the host"] == "met"


def test_a_peer_that_is_faster_is_a_missed_gate_and_an_absent_one_is_named(
    run: Callable[..., Any], peer: Callable[..., Path], tmp_path: Path
) -> None:
    status, record = run("--only", "speed", torch=peer(ms=1e-6))
    assert status == 3
    assert _verdicts(record)["speed, host to host, 256 at once"] == "MISSED"
    status, record = run("--only", "speed", torch=tmp_path / "nothing")
    assert status == 3
    assert "PyTorch is absent" in record["peer"]["absent"]
    missed = next(
        criterion for criterion in record["criteria"] if criterion["name"] == "speed, host to host, 256 at once"
    )
    assert missed["verdict"] == "not run"
    assert "PyTorch is absent" in missed["note"]
    assert record["speed"][0]["ours_ms"] > 0  # ours is measured all the same


def test_a_peer_that_reads_other_texts_is_refused(
    run: Callable[..., Any], peer: Callable[..., Path], tiny_labels: list[str]
) -> None:
    _, record = run("--only", "speed", torch=peer(labels=["1", *tiny_labels[1:]]))
    assert "1 of 8 images differently" in record["peer"]["absent"]
    assert _verdicts(record)["speed, host to host, 1 at once"] == "not run"


def test_too_few_images_or_calls_give_figures_and_no_verdict(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "IMAGES", 9)
    monkeypatch.setattr(check, "LEAST_CALLS", 41)
    _, record = run("--only", "texts", "memory")
    by_name = {criterion["name"]: criterion for criterion in record["criteria"]}
    for name in ("plates: text, 8 at once", "plates: batch invariance", "memory of the host"):
        assert by_name[name]["verdict"] == "not run"
        assert by_name[name]["figure"] is not None
        assert "too few" in by_name[name]["note"]


def test_without_a_gpu_or_a_set_there_is_one_line(
    capsys: pytest.CaptureFixture[str], run: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "nothing.json"
    status = check.main([str(out), "--sets", str(tmp_path)], check.tensorrt)
    lines = capsys.readouterr().err.splitlines()
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith("the check cannot run here: ")
    assert not out.exists()
    with pytest.raises(FileNotFoundError):  # and so no JSON
        run("--sets", str(tmp_path))
    assert "benchmarks.gpu.texts" in capsys.readouterr().err


def test_a_failing_engine_keeps_earlier_figures(run: Callable[..., Any]) -> None:
    calls = 0

    def fails(rows: Probabilities) -> None:
        nonlocal calls
        calls += 1
        if calls > 70:
            raise BackendError("the GPU fell off the bus")

    status, record = run("--only", "texts", "memory", spoil=fails)
    verdicts = {criterion["name"]: (criterion["verdict"], criterion["note"]) for criterion in record["criteria"]}
    assert status == 3
    assert verdicts["plates: text, 3 at once"][0] == "met"
    assert verdicts["memory of the host"] == ("not run", "BackendError: the GPU fell off the bus")


def test_it_needs_numpy_alone() -> None:
    blocked = ["converters", "cv2", "h5py", "keras", "onnx", "onnxruntime", "PIL", "pycuda", "tensorflow", "torch"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); import benchmarks.gpu.check, benchmarks.peers.torch"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])  # the backend's own tests have them all
def test_the_real_backend_on_a_numpy_gpu_meets_the_criteria_that_apply(
    on_gpu: Callable[..., FakeGpu],
    prepared: gpu_set.GpuSet,
    small: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str,
) -> None:
    plan = Plan(batches=(1, 4, 8))
    labels = gpu_set.spell(answers(prepared.pixels, plan), prepared.artifact.spec)
    folder = prepared.artifact.path.parent
    gpu_set.write(folder, prepared.artifact, [], prepared.about, prepared.pixels, labels, prepared.pictures)

    def engine(artifact: Artifact, options: BuildOptions) -> Artifact:
        facts = artifact.spec.artifact
        assert facts is not None
        tools = {"engine": f"tensorrt {version}", "gpu": "Orin (nvgpu), 8.7", "precision": _FLOAT16}
        facts = replace(facts, format="engine", batch=options.batches[2], tools=tools)
        return replace(artifact, spec=replace(artifact.spec, artifact=facts), payload=plan.payload())

    monkeypatch.setattr(check, "cached_engine", engine)
    gpu = on_gpu(version)
    memory = gpu.free
    monkeypatch.setattr(sys.modules["pycuda.driver"], "mem_get_info", lambda: (gpu.free, memory), raising=False)
    out = tmp_path / "out.json"
    words = ["--sets", str(tmp_path / "sets"), "--only", "texts", "memory", "readers", "--calls", "80"]
    words += ["--batches", "1", "4", "8"]
    assert check.main([str(out), *words]) == 3  # for the parts that are left out
    record = json.loads(out.read_text(encoding="utf-8"))
    not_shown = [criterion["name"] for criterion in record["criteria"] if criterion["verdict"] != "met"]
    assert not_shown == [name for name in _verdicts(record) if name.startswith(("speed", "builds"))]
    assert record["gpu"]["tensorrt"] == f"tensorrt {version}"
    assert record["gpu"]["name"] == "Orin (nvgpu)"
    assert record["soak"]["sizes"][-1] == 9
    assert gpu.launches > 0
    assert gpu.left == {}


# --- builds ----------------------------------------------------------------------------------------------------------


def test_two_processes_build_once_and_a_killed_one_leaves_nothing(prepared: gpu_set.GpuSet, tmp_path: Path) -> None:
    builds = Builds(prepared.artifact.path, BuildOptions(tactic_sources=("A",)), tmp_path / "c", _builder(tmp_path))
    killed = builds.kill(0.2)
    assert killed.under_way
    assert killed.left == 0
    assert killed.others_ended
    opened = builds.at_once(2)
    assert sorted(engine.builds for engine in opened) == [0, 1]
    assert len({engine.engine for engine in opened}) == len(builds.engines()) == 1


def test_a_builder_without_a_lock_and_one_that_leaves_an_engine_are_found_out(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    sloppy = _builder(
        tmp_path,
        before="target.write_bytes(b'half a plan')",
        more="import contextlib; cache._lock = lambda *_: contextlib.nullcontext()",
    )
    status, record = run("--only", "builds", command=sloppy)
    verdicts = _verdicts(record)
    assert status == 3
    assert verdicts["builds, two at once"] == verdicts["builds, killed"] == "MISSED"


def test_a_build_that_had_ended_before_the_kill_shows_nothing(prepared: gpu_set.GpuSet, tmp_path: Path) -> None:
    builds = Builds(prepared.artifact.path, BuildOptions(), tmp_path / "c", _builder(tmp_path, seconds=0))
    assert not builds.kill(30).under_way
    failing = _builder(tmp_path, before="from edge_crnn.errors import BackendError; raise BackendError('no tactic')")
    with pytest.raises(BackendError, match="no tactic"):
        Builds(prepared.artifact.path, BuildOptions(), tmp_path / "d", failing).at_once(2)


# --- the parts -------------------------------------------------------------------------------------------------------


def test_a_set_is_read_back_and_a_damaged_set_is_refused(
    prepared: gpu_set.GpuSet, tiny_graph: Graph, tiny_pictures: list[np.ndarray], tiny_labels: list[str]
) -> None:
    assert list(prepared.labels) == tiny_labels
    np.testing.assert_array_equal(prepared.pixels[:, :, :, 0], np.stack(tiny_pictures))
    np.testing.assert_array_equal(prepared.pictures[3][..., 1], tiny_pictures[3])
    folder = prepared.artifact.path.parent
    layers = gpu_set.read_network(folder)
    assert [layer.kind for layer in layers] == ["Input", *(type(layer).__name__ for layer in tiny_graph.nodes)]
    conv, recurrent = layers[1], layers[5]
    assert conv.settings["activation"] == "relu"
    first = tiny_graph.nodes[0]
    assert isinstance(first, g.Conv)
    np.testing.assert_array_equal(conv.weights["kernel"], first.kernel.astype(np.float16))
    assert recurrent.settings["forward"] == recurrent.settings["backward"] == "LstmCell"
    assert set(recurrent.weights) == {
        f"{way}.{name}" for way in ("forward", "backward") for name in ("kernel", "recurrent", "bias")
    }
    (folder / "images.npz").write_bytes((folder / "images.npz").read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"^[^(]*: differs from the file that was prepared"):
        gpu_set.read(folder)
    (folder / "about.json").unlink()
    with pytest.raises(DatasetError, match="found no prepared set"):
        gpu_set.read(folder)


def test_every_image_is_once_at_every_position(prepared: gpu_set.GpuSet) -> None:
    seen: list[tuple[int, int]] = []
    numbers = {picture.tobytes(): number for number, picture in enumerate(prepared.pixels)}
    engine = open_backend(prepared.artifact)

    def infer(batch: npt.NDArray[Any]) -> Probabilities:
        seen.extend((numbers[image.tobytes()], position) for position, image in enumerate(batch))
        return engine.infer(batch)

    outcome = turn(infer, prepared, prepared.labels, 3)
    assert sorted(seen) == [(image, position) for image in range(6) for position in range(3)]
    assert (outcome.images, outcome.readings, outcome.other) == (6, 18, 0)


def test_orders_are_of_all_images() -> None:
    by_name = orders(11)
    assert len({tuple(order) for order in by_name.values()}) == 3
    assert all(sorted(order) == list(range(11)) for order in by_name.values())


def test_growth_leaves_the_start_out_and_one_outlier_does_not_count() -> None:
    assert growth([0, 0, 5, 5, *[9] * 16]) == 4
    assert growth([*range(100, 200)]) == 194.5 - 114.5
    assert growth([0] * 99 + [1 << 40]) == 0
    with pytest.raises(ValueError, match="at least 10"):
        growth([1] * 9)


def test_many_calls_are_of_mixed_sizes_and_some_have_to_be_split() -> None:
    sizes: list[int] = []

    def infer(batch: npt.NDArray[Any]) -> Probabilities:
        sizes.append(len(batch))
        return np.zeros((len(batch), 1, 2), np.float32)

    soaked = soak(infer, np.zeros((4, 2, 2, 1), np.uint8), 8, 500, lambda: 7)
    assert set(sizes) == {1, 2, 3, 5, 8, 9}
    assert soaked.images == sum(sizes)
    assert soaked.device == (7,) * 10
    assert soaked.host_growth == growth(soaked.host)
    assert all(1 << 20 < sample < 1 << 40 for sample in soaked.host)


def test_rounds_alternate_and_each_call_gets_the_next_images(prepared: gpu_set.GpuSet) -> None:
    order: list[str] = []

    class Timer:
        def __init__(self, name: str, ms: float) -> None:
            self.name, self.ms = name, ms

        def times(self, way: str, n: int, calls: int) -> list[float]:
            order.append(self.name)
            return [self.ms] * calls

    speed = interleave("plates", Timer("ours", 2.0), Timer("peer", 3.0), "host to host", 8, 3, 5)
    assert order == ["ours"] * 2 + ["peer"] * 4 + ["ours"] * 4 + ["peer"] * 2
    assert speed.ratio == 1.5
    assert (speed.ours_images_per_s, form.plain(speed)["peer_images_per_s"]) == (4000.0, pytest.approx(8000 / 3))

    taken: list[npt.NDArray[Any]] = []
    engine = open_backend(prepared.artifact)

    def infer(batch: npt.NDArray[Any]) -> Probabilities:
        taken.append(batch)
        return engine.infer(batch)

    work = Work(infer, prepared.artifact.spec, prepared.pixels, prepared.pictures)
    assert len(work.times("host to host", 3, 2)) == 2
    work.times("pictures to text", 3, 1)
    expected = prepared.pixels[np.arange(9) % 8]
    np.testing.assert_array_equal(np.concatenate(taken), expected)


def test_a_criterion_is_met_from_its_threshold_on_and_not_run_until_then() -> None:
    criteria = Criteria(
        [
            Criterion("a", "one", "m", "what", "at least", 0.999),
            Criterion("b", "two", "m", "what", "at most", 0),
            Criterion("c", "two", "n", "what", "at most", 0),
        ]
    )
    assert [criterion.verdict for criterion in criteria] == ["not run"] * 3
    criteria.judge("a", 0.999, "just")
    criteria.judge("b", 0, "none")
    assert criteria.status == 3
    criteria.not_run("left out", part="two")
    assert [(criterion.verdict, criterion.note) for criterion in criteria] == [
        ("met", "just"),
        ("met", "none"),
        ("not run", "left out"),
    ]
    criteria.judge("c", 0, "none")
    assert criteria.status == 0
    criteria.judge("a", 0.9989, "less")
    assert criteria.status == 3


_BROUGHT = {
    "PYTHONHOME": "/brought/python",
    "PYTHONPATH": "/brought/site:/own/site",
    "LD_LIBRARY_PATH": "/brought/site/tensorrt:/brought/stubs",
    "PATH": "/brought/python/bin:/usr/bin",
    "HOME": "/root",
}


def test_the_peer_has_nothing_of_a_python_that_was_brought_along() -> None:
    assert torch_peer.outside(_BROUGHT) == {"PYTHONPATH": "/own/site", "PATH": "/usr/bin", "HOME": "/root"}
    own = {name: value for name, value in _BROUGHT.items() if name != "PYTHONHOME"}
    assert torch_peer.outside(own) == own
