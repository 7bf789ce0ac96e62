"""Faults planted on purpose, and the message for each: what was found, what was expected, what to do.

| fault | planted here | and elsewhere |
|---|---|---|
| calibration images never consumed | in an int8 file, in the quantiser | an unasked generator: `test_pipeline` |
| an artifact quantised to garbage | in an int8 file's weights | one layer's scale, by `--localise`: `test_localise` |
| batch-dependent output | in the axes of a file that takes 16 images | a GPU's batches: `benchmarks.gpu.check` |
| a wrong alphabet | in a model's spec, in an artifact's | symbols that are there twice: `test_spec` |
| swapped axes | in a model's spec, an artifact's, the network's output | an array of pixels: `test_contract` |
| a stale engine | in files of engines and beside them | an engine in the cache: `test_engine_cache` |
| a result from another board | in files of `edge-crnn bench` | each fact that tells boards apart: `test_compare` |
| throttled during the run | in recorded trees of boards | between two looks at the machine: `test_marks` |
| a network that eight bits do not hold | in the weights of a channel | |

The trained model is `tiny_graph`, run by the oracle: TensorFlow takes seconds to start, and has no part in it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.artifact import make_tflite
from converters.graph import graph, nodes
from converters.recipe import RECIPES
from edge_crnn.bench.suite import measure
from edge_crnn.bench.table import table
from edge_crnn.board.snapshot import Snapshot, snapshot
from edge_crnn.cli.main import main
from edge_crnn.model.artifact import load, save, sidecar
from edge_crnn.model.spec import ArtifactFacts, InputSpec, OutputSpec
from edge_crnn.records.bench import Round, Scenario, load_record
from tests.edge_crnn.bench.made import PI, a_round, opened, record, result
from tests.edge_crnn.board.trees import LAPTOP, ORIN_NANO, PI_5, Tree, plant, vcgencmd
from tests.fake_tensorrt import save_onnx
from tests.planted import SPEC, draw, int8, keep_what_holds, rewrite, tensors, train, with_outlier

pytestmark = pytest.mark.thorough

Run = Callable[..., tuple[int, str, str]]

WIDE: Sequence[object] = ("--gate-agreement", "50", "--gate-accuracy", "60")
"""What sixty images can show of int8 in a network that was never trained."""


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives its status, stdout and stderr, without LiteRT's greeting."""

    def run(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return status, out, "".join(line for line in err.splitlines(True) if not line.startswith("INFO: "))

    return run


@pytest.fixture
def trained(tiny_graph: graph.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`tiny_graph`, trained."""
    return train(tiny_graph, tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def images(tiny_graph: graph.Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images to verify with."""
    return draw(tmp_path_factory.mktemp("faults") / "images", 2, 60, tiny_graph)


@pytest.fixture(scope="module")
def others(tiny_graph: graph.Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty more, to calibrate with."""
    return draw(tmp_path_factory.mktemp("faults") / "others", 1, 20, tiny_graph)


@pytest.fixture(scope="module")
def fewer(others: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one image of `others`."""
    folder = tmp_path_factory.mktemp("faults") / "fewer"
    folder.mkdir()
    (folder / "x.png").write_bytes((others / "003.png").read_bytes())
    return folder


# --- calibration images never consumed -------------------------------------------------------------------------------


def test_calibration_whose_images_were_used_is_confirmed(
    run: Run, trained: Path, tiny_graph: graph.Graph, images: Path, others: Path, tmp_path: Path
) -> None:
    artifact = int8(tmp_path / "x.tflite", tiny_graph, others)
    status, out, _ = run("verify", trained, artifact, "--labelled", images, "--calibration", others, *WIDE)
    assert status == 0
    assert f"x.tflite: was calibrated with the images of {others}\n" in out


def test_a_quantiser_that_used_other_images_than_it_names(
    run: Run, trained: Path, tiny_graph: graph.Graph, images: Path, others: Path, fewer: Path, tmp_path: Path
) -> None:
    artifact = int8(tmp_path / "x.tflite", tiny_graph, fewer, named=others)
    status, _, err = run("verify", trained, artifact, "--labelled", images, "--calibration", others)
    assert status == 1
    assert re.fullmatch(
        rf"edge-crnn verify: x\.tflite: the ranges of [23] int8 values are not those of {others}, such as"
        r" 'conv' from 0 to [\d.]+, expected 0 to [\d.]+; it was quantised without these images, or with others:"
        r" convert it again with --calibration\n",
        err,
    )


def test_calibration_images_that_are_not_those_it_names(
    run: Run, trained: Path, tiny_graph: graph.Graph, images: Path, others: Path, fewer: Path, tmp_path: Path
) -> None:
    artifact = int8(tmp_path / "x.tflite", tiny_graph, others)
    status, _, err = run("verify", trained, artifact, "--labelled", images, "--calibration", fewer)
    assert status == 1
    assert re.search(r"says that it was calibrated with 20 images, SHA-256 \w{12}…; .*fewer holds 1, \w{12}…", err)
    assert err.endswith(": name those images, or convert again with these\n")


def test_a_quantiser_that_never_looks_at_the_ranges(
    run: Run, trained: Path, images: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is found, and nothing is written."""
    from converters import artifact

    write = artifact.to_tflite

    def blind(network: graph.Graph, image: InputSpec, recipe: Any, ranges: Any, batch: int) -> bytes:
        return write(network, image, recipe, dict.fromkeys(ranges, (-6.0, 6.0)), batch)

    monkeypatch.setattr(artifact, "to_tflite", blind)
    words = ["--recipe", "int8", "--calibration", others, "--labelled", images]
    status, _, err = run("convert", trained, *words, "-o", tmp_path / "x.tflite")
    assert status == 1
    assert "are not those of calibration, such as 'conv' from -6.02 to 5.98, expected" in err
    assert not (tmp_path / "x.tflite").exists()


# --- an artifact quantised to garbage --------------------------------------------------------------------------------


def test_an_artifact_quantised_to_garbage(
    run: Run, trained: Path, tiny_graph: graph.Graph, images: Path, others: Path, tmp_path: Path
) -> None:
    def scramble(model: Any) -> None:
        (kernel,) = tensors(model, "dense/kernel")
        buffer = model.buffers[kernel.buffer]
        buffer.data = np.random.default_rng(1).permutation(buffer.data)

    artifact = rewrite(int8(tmp_path / "x.tflite", tiny_graph, others), scramble)
    status, out, err = run("verify", trained, artifact, "--labelled", images)
    assert status == 3
    assert re.search(r"x\.tflite: fail: same text on \d\.\d\d% .* reads correctly, gate 99\.50%;", out)
    assert err == ("edge-crnn verify: x.tflite: does not meet the gate; --localise shows which layer is to blame\n")
    _, out, err = run("verify", trained, artifact, "--labelled", images, "--localise")
    assert re.search(r"^  to blame: dense; its noise alone leaves -", out, re.M)
    assert "furthest from the trained model" in out
    assert err == "edge-crnn verify: x.tflite: does not meet the gate\n"


# --- batch-dependent output ------------------------------------------------------------------------------------------


def test_output_that_depends_on_the_batch(
    run: Run, trained: Path, tiny_artifacts: Callable[..., Path], images: Path, tmp_path: Path
) -> None:
    """The recurrence goes over the 16 images in place of the 16 steps, and all shapes fit."""

    def keep_order(model: Any) -> None:
        for axes in tensors(model, r"lstm/.*:(steps|samples)/axes"):
            model.buffers[axes.buffer].data = np.array([0, 1, 2], np.int32).view(np.uint8)

    path = tmp_path / "x.tflite"
    path.write_bytes(tiny_artifacts("float32", 16).read_bytes())
    assert run("verify", trained, path, "--labelled", images, *WIDE)[0] == 0
    status, _, err = run("verify", trained, rewrite(path, keep_order), "--labelled", images)
    assert status == 3
    assert re.search(
        r"x\.tflite: \d\d of 30 images gave other probabilities when they were read in the opposite order, by up to"
        r" [\d.]+ \(.*\.png\); expected the same, .*convert it again with --batch 1\n$",
        err,
    )


# --- a wrong alphabet ------------------------------------------------------------------------------------------------


def test_a_model_whose_spec_has_two_symbols_in_each_others_place(
    run: Run, trained: Path, tiny_artifacts: Callable[..., Path], images: Path, tmp_path: Path
) -> None:
    """Reference and artifact agree on every text, and most of them are wrong."""
    sidecar(trained).write_text(replace(SPEC, symbols=tuple("0183456729")).to_json(), encoding="utf-8")
    words = ["--recipe", "float32", "--labelled", images, "-o", tmp_path / "x.tflite"]
    status, _, err = run("convert", trained, *words)
    assert status == 3
    assert re.search(r"the trained model reads '\d' for '\d' \(\d+ of \d+\), ", err)
    assert {"'2' for '8'", "'8' for '2'"} == set(re.findall(r"'[28]' for '[28]'", err))
    assert "are not in the order in which it was trained: correct their order" in err
    assert not (tmp_path / "x.tflite").exists()


def test_an_artifact_whose_spec_has_its_symbols_in_another_order(
    run: Run, trained: Path, tiny_artifacts: Callable[..., Path], images: Path, tmp_path: Path
) -> None:
    artifact = load(tiny_artifacts("float32"))
    path = tmp_path / "x.tflite"
    save(path, artifact.payload, replace(artifact.spec, symbols=tuple("9876543210")))
    status, _, err = run("verify", trained, path, "--labelled", images)
    assert status == 1
    assert (
        f"{path}: its alphabet or its images are not those of {trained} (symbols '9 8 7 6 5 4 3 2 1 0', there"
        " '0 1 2 3 4 5 6 7 8 9'); name the model that it was converted from, or convert it again\n"
    ) in err


@pytest.mark.parametrize(
    ("symbols", "classes", "message"),
    [
        ("012345678", 11, "9 symbols and 11 classes; there must be one class more (the blank)"),
        ("012345678", 10, "16 steps of 10 classes; the network takes (32, 16, 1) and gives 16 steps of 11: mend the"),
    ],
)
def test_a_model_whose_spec_has_another_number_of_symbols(
    symbols: str, classes: int, message: str, run: Run, trained: Path, images: Path, tmp_path: Path
) -> None:
    spec = json.loads(SPEC.to_json())
    spec.update(symbols=symbols, blank=classes - 1)
    spec["output"]["classes"] = classes
    sidecar(trained).write_text(json.dumps(spec), encoding="utf-8")
    status, _, err = run("convert", trained, "--recipe", "float32", "--labelled", images, "-o", tmp_path / "x.tflite")
    assert status == 1
    assert message in err


def test_an_artifact_whose_spec_has_another_number_of_symbols(
    run: Run, tiny_artifacts: Callable[..., Path], images: Path, tmp_path: Path
) -> None:
    artifact = load(tiny_artifacts("float32"))
    shorter = replace(artifact.spec, symbols=artifact.spec.symbols[1:], blank=9, output=OutputSpec(16, 10))
    save(tmp_path / "x.tflite", artifact.payload, shorter)
    status, _, err = run("read", "--model", tmp_path / "x.tflite", images / "000.png")
    assert status == 1
    assert "gives [(1, 16, 11, 'float32')], but its spec says" in err
    assert "convert the model again" in err


# --- swapped axes ----------------------------------------------------------------------------------------------------


def test_a_model_whose_spec_has_height_and_width_swapped(run: Run, trained: Path, images: Path, tmp_path: Path) -> None:
    """The shape is the same, the image lies on its side."""
    lying = replace(SPEC, input=replace(SPEC.input, axes="HWC", width=16, height=32))
    sidecar(trained).write_text(lying.to_json(), encoding="utf-8")
    status, _, err = run("convert", trained, "--recipe", "float32", "--labelled", images, "-o", tmp_path / "x.tflite")
    assert status == 3
    assert "the trained model reads none of the 60 images correctly; check the labels, the spec's alphabet," in err
    assert "width, height, axes, scale and offset" in err


def test_an_artifact_that_was_made_with_height_and_width_swapped(
    run: Run, trained: Path, tiny_graph: graph.Graph, images: Path, tmp_path: Path
) -> None:
    lying = replace(SPEC, input=replace(SPEC.input, axes="HWC", width=16, height=32))
    artifact = make_tflite(tmp_path / "x.tflite", tiny_graph, lying, RECIPES["float32"], "0" * 64)
    save(artifact.path, artifact.payload, artifact.spec)
    status, _, err = run("verify", trained, artifact.path, "--labelled", images)
    assert status == 1
    assert f"are not those of {trained} (width 16, there 32; height 32, there 16); name the model" in err


def test_an_artifact_that_gives_classes_by_steps(
    run: Run, tiny_graph: graph.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are 16 steps and 16 classes, so the shape does not change."""
    *layers, head, softmax = tiny_graph.nodes
    assert isinstance(head, nodes.Dense)
    random = np.random.default_rng(4)
    kernel = random.normal(0, 3, (24, 16)).astype(np.float32)
    wide = replace(head, kernel=kernel, bias=random.normal(0, 0.5, 16).astype(np.float32))
    network = graph.Graph(tiny_graph.input_shape, (*layers, wide, softmax))
    spec = replace(SPEC, symbols=tuple("0123456789abcde"), blank=15, output=OutputSpec(16, 16))
    trained = train(network, tmp_path, monkeypatch, spec)
    images = draw(tmp_path / "images", 3, 8, network, spec)
    turned = graph.Graph(
        network.input_shape, (*network.nodes, nodes.Permute("turned", (1, 0), inputs=(network.output,)))
    )
    artifact = make_tflite(tmp_path / "x.tflite", turned, spec, RECIPES["float32"], "0" * 64)
    save(artifact.path, artifact.payload, artifact.spec)
    status, _, err = run("verify", trained, artifact.path, "--labelled", images)
    assert status == 3
    assert re.search(
        r"reading with x\.tflite: found steps whose probabilities sum to [\d.e-]+ up to [\d.]+, expected 1; its steps"
        r" and classes are swapped; correct the model and convert it again\n$",
        err,
    )


# --- a stale engine --------------------------------------------------------------------------------------------------


def _fake_engine(folder: Path, built_of: str) -> Path:
    facts = ArtifactFacts("engine", "float16", 32, "", "0" * 64, tools={"onnx sha256": built_of})
    return save(folder / "plates.engine", b"plan", replace(SPEC, artifact=facts)).path


def test_a_fake_engine_that_was_built_anew_without_its_spec(run: Run, images: Path, tmp_path: Path) -> None:
    """A user may build with trtexec after an update; finding a stale engine needs no GPU."""
    engine = _fake_engine(tmp_path, "0" * 64)
    engine.write_bytes(b"another plan")
    status, _, err = run("read", "--model", engine, images / "000.png")
    assert status == 1
    assert re.search(r"payload has SHA-256 \w{12}…, its spec describes \w{12}…; .* convert it again\n$", err)


def test_a_fake_engine_of_a_network_that_was_converted_again(run: Run, images: Path, tmp_path: Path) -> None:
    before = save_onnx(tmp_path / "plates.onnx", graph="before").spec.artifact
    assert before is not None
    engine = _fake_engine(tmp_path, before.payload_sha256)
    now = save_onnx(tmp_path / "plates.onnx", graph="after").spec.artifact
    assert now is not None
    status, _, err = run("read", "--model", engine, images / "000.png")
    assert status == 1
    assert err == (
        f"edge-crnn read: {engine}: built from a network with SHA-256 {before.payload_sha256[:12]}…, but"
        f" plates.onnx beside it has {now.payload_sha256[:12]}…; build it again:"
        f" edge-crnn build-engine {tmp_path / 'plates.onnx'} -o {engine}\n"
    )


# --- a result from another board merged in ---------------------------------------------------------------------------

PI_4 = replace(PI, model="Raspberry Pi 4 Model B Rev 1.4", soc="BCM2711")
TEN = [9.8, 9.9, 10.0, 10.1, 10.2]


def test_a_result_of_another_board_in_a_file(run: Run, tmp_path: Path) -> None:
    mine = json.loads(record(result(TEN)).to_json())
    theirs = json.loads(record(result(TEN, board=PI_4), board=PI_4).to_json())
    mine["results"] += theirs["results"]
    path = tmp_path / "merged.json"
    path.write_text(json.dumps(mine), encoding="utf-8")
    for words in (["report", path, "-o", tmp_path / "x.html"], ["bench", "--images", tmp_path, "--compare", path]):
        status, _, err = run(*words)
        assert status == 1
        assert err.count("\n") == 1
        assert f"{path}: result 1 was measured on another machine than" in err
        assert "(Raspberry Pi 5 Model B Rev 1.0); keep " in err


def test_a_report_of_two_boards_keeps_them_apart(run: Run, tmp_path: Path) -> None:
    for name, board in (("five", PI), ("four", PI_4)):
        text = record(result(TEN, board=board), board=board).to_json()
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    page = tmp_path / "x.md"
    assert run("report", tmp_path / "five.json", tmp_path / "four.json", "--markdown", page)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert f"2 machines or settings, each in a part of its own: {PI.model}; {PI_4.model}" in text
    parts = [text.index(f"\n## {model}") for model in (PI.model, PI_4.model)]
    assert parts == sorted(parts)


def test_a_comparison_with_another_board(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes before an artifact is opened."""
    monkeypatch.setattr("edge_crnn.bench.suite.Worker", None)
    path = tmp_path / "old.json"
    path.write_text(record(result(TEN, board=PI_4), board=PI_4).to_json(), encoding="utf-8")
    status, out, err = run("bench", "--images", images, "--compare", path)
    assert (status, out) == (1, "")
    assert re.search(
        r"not comparable: another machine: .* then, .* now; measure both on the same machine, with the same",
        err,
    )


# --- throttled during the run ----------------------------------------------------------------------------------------


class Board:
    """A recorded tree that changes while the benchmark reads."""

    def __init__(self, root: Path, calm: Tree, hot: Tree, after: Tree) -> None:
        self.opened, self.pid = opened(), os.getpid()
        self._root, self._hot, self._after = plant(calm, root), hot, after

    def snapshot(self) -> Snapshot:
        return snapshot(self._root)

    def play(self, _: Scenario, meanwhile: Callable[[], None]) -> Round:
        plant(self._hot, self._root)
        meanwhile()
        plant(self._after, self._root)
        return a_round([10.0] * 4)


COOLING = "sys/class/thermal/cooling_device1/cur_state"
COUNT = "sys/devices/system/cpu/cpu3/thermal_throttle/package_throttle_count"
THROTTLED: dict[str, tuple[Tree, Tree, Tree, str]] = {
    "a Raspberry Pi's firmware": (PI_5, vcgencmd(0xE0008), vcgencmd(0xE0000), "soft temperature limit, clock capped"),
    "a Raspberry Pi, between two looks": (PI_5, {}, vcgencmd(0x40000), "throttled"),
    "a Jetson's cooling device": (ORIN_NANO, {COOLING: "2\n"}, {COOLING: "0\n"}, "cpufreq-cpu0 slowed because of heat"),
    "an x86 processor's count": (LAPTOP, {}, {COUNT: "413\n"}, "too hot"),
}
"""Board → its tree before, the changes while it reads, the changes after that, and the message."""


@pytest.mark.parametrize("board", THROTTLED)
def test_a_throttle_flag_that_is_set_during_the_run(board: str, run: Run, tmp_path: Path) -> None:
    calm, hot, after, message = THROTTLED[board]
    bench = Board(tmp_path / "root", calm, hot, after)
    (measured,) = measure([bench], Scenario("single", 1, 4), 5, board=result(TEN).board, snapshot=bench.snapshot)
    throttled = record(replace(measured, other_cores=0.0))
    mark = f"throttled: {message}"
    assert f"    ! {mark}" in table(throttled)
    assert "; improve cooling or power supply, and measure again" in table(throttled)
    path, page = tmp_path / "hot.json", tmp_path / "x.md"
    path.write_text(throttled.to_json(), encoding="utf-8")
    assert load_record(path) == throttled
    assert run("report", path, "--markdown", page)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert "plates.tflite: do not quote its times" in text
    assert mark in text


def test_a_board_that_stays_calm_is_not_marked(tmp_path: Path) -> None:
    bench = Board(tmp_path, PI_5, {}, {})
    (measured,) = measure([bench], Scenario("single", 1, 4), 5, board=result(TEN).board, snapshot=bench.snapshot)
    assert "throttled:" not in table(record(replace(measured, other_cores=0.0)))


# --- a network that eight bits do not hold ---------------------------------------------------------------------------


def test_the_layers_that_eight_bits_do_not_hold_are_found_and_stay_float32(
    run: Run, tiny_graph: graph.Graph, images: Path, others: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = keep_what_holds(images, int8(tmp_path / "sound.tflite", tiny_graph, others), tmp_path / "held")
    trained = train(with_outlier(tiny_graph, 3, 64), tmp_path, monkeypatch)
    target = tmp_path / "x.tflite"
    words = ["convert", trained, "--recipe", "int8", "--calibration", others, "--labelled", held, "-o", target]
    gate = ["--gate-agreement", 85, "--gate-accuracy", 15]
    status, out, err = run(*words, *gate)
    assert status == 3
    assert not target.exists()
    assert "--float auto" in err

    status, out, err = run(*words, *gate, "--float", "auto")
    assert (status, err) == (0, "")
    table = out[out.index("layers kept in float32, and the result:") :].splitlines()[1:6]
    assert [re.split(r"  +", line.strip())[:2] for line in table] == [
        ["float32", "verdict"],
        ["none", "fail"],
        ["dense", "fail"],  # the first to blame; its input has already lost a channel
        ["conv, dense", "pass"],
        ["conv", "fail"],  # so both are needed
    ]
    assert re.search(r"x\.tflite: [\d,]+ bytes, recipe int8 but for float32 conv, dense, verdict pass\n$", out)
    facts = load(target).spec.artifact
    assert facts is not None
    assert facts.float_layers == ("conv", "dense")
    assert [trial.float_layers for trial in facts.trials or ()] == [(), ("dense",), ("conv", "dense"), ("conv",)]
    info = run("info", target)[1]
    assert "int8 but for float32 conv, dense, tflite, batch 1\n" in info
    assert re.search(r"^ +tried float32 none: fail, \d+\.\d\d% same text, [\d,]+ bytes$", info, re.M)
