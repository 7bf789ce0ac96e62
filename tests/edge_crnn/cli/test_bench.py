from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_crnn.cli import bench as module
from edge_crnn.cli.main import main
from edge_crnn.records.bench import Record, Round, load_record
from tests.edge_crnn.bench.made import OFFLINE, PI, opened, record, result

pytestmark = pytest.mark.thorough

_PLATES = Path(__file__).parents[3] / "samples" / "plates"
_TEN = [9.8, 9.9, 10.0, 10.1, 10.2]
Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """Return a function that runs `edge-crnn bench` and returns exit status, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        status = main(["bench", *map(str, words)])
        streams = capsys.readouterr()
        return status, streams.out, streams.err

    return run


@pytest.fixture
def fix_record(monkeypatch: pytest.MonkeyPatch) -> Callable[[Record], list[dict[str, Any]]]:
    """Make the suite return a fixed record; return the list of the requests to it."""

    def fix(fixed: Record) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []

        def run_suite(models: object, folder: object, plays: object, **settings: object) -> Record:
            requests.append({"models": models, "folder": folder, "plays": plays, **settings})
            return fixed

        monkeypatch.setattr(module, "run_suite", run_suite)
        return requests

    return fix


def test_the_shipped_model_on_real_plates(bench: Bench, tmp_path: Path) -> None:
    plates = tmp_path / "plates"
    plates.mkdir()
    for path in sorted(_PLATES.glob("*.jpg"))[:3]:
        shutil.copy(path, plates)
    words = ["--images", plates, "--scenario", "single,offline,camera", "--rounds", 1, "--per-round", 2, "--fps", 500]
    status, output, errors = bench(
        *words, "--workers", 2, "--minutes", 0.001, "--every", 0.06, "-o", tmp_path / "r.json"
    )
    assert (status, errors) == (0, "")
    for line in ("loaded in", "end to end", "image file", "preprocessing", "inference", "decoding", "ends at"):
        assert line in output
    written = load_record(tmp_path / "r.json")
    assert [(result.artifact, result.scenario.kind) for result in written.results] == [
        (0, "single"),
        (1, "single"),
        (0, "offline"),
        (1, "offline"),
        (0, "camera"),
        (1, "camera"),
        (0, "sustained"),
    ]
    assert [artifact.control for artifact in written.artifacts] == [False, True]
    assert written.artifacts[0].payload_sha256 == written.artifacts[1].payload_sha256
    assert written.artifacts[0].texts_sha256 == written.artifacts[1].texts_sha256
    assert (written.images.folder, written.images.count) == (str(plates), 3)
    rounds: list[Round] = [result.rounds[0].round for result in written.results]
    assert [played.images for played in rounds[:4]] == [2] * 4
    assert all(played.images + played.dropped == 2 for played in rounds[4:6])
    assert rounds[6].images >= 2
    data = json.loads((tmp_path / "r.json").read_text())
    assert len(data["summaries"]) == len(data["results"])
    assert data["summaries"][0]["control_differs"] > 0


def test_the_options_reach_the_suite(bench: Bench, fix_record: Callable[[Record], list[dict[str, Any]]]) -> None:
    requests = fix_record(record(result(_TEN)))
    status, _, _ = bench(
        *("a.tflite", "b.onnx", "--images", "plates", "--scenario", "all", "--rounds", 7, "--per-round", 20),
        *(
            "--engine",
            "tensorrt",
            "--threads",
            2,
            "--workers",
            3,
            "--fps",
            12.5,
            "--late",
            "queue",
            "--minutes",
            2,
            "--every",
            10,
        ),
    )
    assert status == 0
    (call,) = requests
    assert call["models"] == [Path("a.tflite"), Path("b.onnx")]
    assert (call["folder"], call["threads"], call["engine"]) == (Path("plates"), 2, "tensorrt")
    assert call["old"] is None
    plays = [(scenario.kind, scenario.readers, scenario.images, rounds) for scenario, rounds in call["plays"]]
    assert plays == [
        ("single", 1, 20, 7),
        ("offline", 3, 20, 7),
        ("multi", 3, 20, 7),
        ("camera", 1, 20, 7),
        ("sustained", 3, 0, 12),
    ]
    camera, sustained = (call["plays"][place][0] for place in (3, 4))
    assert (camera.fps, camera.late, sustained.seconds) == (12.5, "queue", 10.0)


@pytest.mark.parametrize(
    ("words", "workers"),
    [
        ([], 5),
        (["a.tflite"], 5),
        (["a.onnx"], 5),
        (["a.onnx", "--engine", "onnxrt"], 5),
        (["a.onnx", "--engine", "tensorrt"], 1),
        (["a.engine"], 1),
        (["a.tflite", "a.engine"], 1),
        (["a.engine", "--workers", 3], 3),
    ],
)
def test_one_engine_runs_on_a_gpu_by_default(
    words: list[object],
    workers: int,
    bench: Bench,
    fix_record: Callable[[Record], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "usable_workers", lambda: 5)
    requests = fix_record(record(result(_TEN)))
    assert bench(*words, "--images", "plates", "--scenario", "offline", "--minutes", 1)[0] == 0
    assert [scenario.readers for scenario, _ in requests[0]["plays"]] == [workers] * 2


def test_printed_and_written_json_are_the_same(
    bench: Bench, fix_record: Callable[[Record], list[dict[str, Any]]], tmp_path: Path
) -> None:
    wrote = record(result(_TEN), result(_TEN, artifact=1))
    fix_record(wrote)
    status, output, _ = bench("--images", "plates", "--format", "json", "-o", tmp_path / "r.json")
    assert status == 0
    assert (tmp_path / "r.json").read_text() == output
    assert Record.from_json(output) == wrote
    assert json.loads(output)["summaries"][0]["percentiles"]["infer"][0]["ms"] == 10
    assert load_record(tmp_path / "r.json") == wrote


def _written(path: Path, run: Record) -> Path:
    path.write_text(run.to_json())
    return path


def test_a_regression_exits_with_3(
    bench: Bench, fix_record: Callable[[Record], list[dict[str, Any]]], tmp_path: Path
) -> None:
    old = _written(tmp_path / "old.json", record(result(_TEN), result(_TEN, scenario=OFFLINE)))
    slower = record(result([1.2 * ms for ms in _TEN]), result(_TEN, scenario=OFFLINE))
    requests = fix_record(slower)
    status, output, errors = bench("--images", "plates", "--compare", old, "-o", tmp_path / "new.json")
    assert status == 3
    assert "+18.2%" in output
    assert f"edge-crnn bench: slower than in {old}" in errors
    assert "plates.tflite (single, +18.2%, p = 0.004)\n" in errors
    assert load_record(tmp_path / "new.json") == slower
    assert requests[0]["old"] == load_record(old)
    status, output, _ = bench("--images", "plates", "--compare", old, "--format", "json")
    assert status == 3
    assert [comparison["verdict"] for comparison in json.loads(output)["comparisons"]] == ["slower", "same"]
    assert "Mann-Whitney U" in json.loads(output)["compared_by"]
    fix_record(record(result(_TEN)))
    assert bench("--images", "plates", "--compare", tmp_path / "new.json")[0] == 0  # faster


def test_an_unclear_comparison_exits_with_1(
    bench: Bench, fix_record: Callable[[Record], list[dict[str, Any]]], tmp_path: Path
) -> None:
    old = _written(tmp_path / "old.json", record(result(_TEN)))
    fix_record(record(result([1.2 * ms for ms in _TEN], other_cores=0.7)))
    status, output, errors = bench("--images", "plates", "--compare", old)
    assert status == 1
    assert "unclear: other programs kept 0.7 cores busy now" in output
    assert f"comparison with {old} is unclear: plates.tflite (single): other programs kept 0.7 cores busy" in errors


def test_incomparable_records_exit_with_1_after_the_record_is_written(
    bench: Bench, fix_record: Callable[[Record], list[dict[str, Any]]], tmp_path: Path
) -> None:
    foreign = replace(PI, model="Orin Nano")
    old = _written(tmp_path / "old.json", record(result(_TEN, board=foreign), board=foreign))
    fix_record(record(result(_TEN)))
    status, output, errors = bench("--images", "plates", "--compare", old, "-o", tmp_path / "new.json")
    assert (status, output) == (1, "")
    assert errors.startswith("edge-crnn bench: not comparable: another machine: model 'Orin Nano' then")
    assert errors.count("\n") == 1
    assert load_record(tmp_path / "new.json") == record(result(_TEN))


def test_nothing_is_measured_for_a_comparison_that_must_fail(bench: Bench, tmp_path: Path) -> None:
    """The artifact is compared as soon as it is open, before a round that would take a minute."""
    merged = record(result(_TEN), result(_TEN, board=replace(PI, model="Orin Nano")))
    old = _written(tmp_path / "old.json", merged)
    status, output, errors = bench("--images", _PLATES, "--compare", old)
    assert (status, output) == (1, "")
    assert "result 1 was measured on another machine" in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "the following arguments are required: --images"),
        (("--images", "x", "--scenario", "fast"), "'fast' is not one of single, offline, multi, camera, all"),
        (("--images", "x", "--scenario", "single,"), "'single,' is not one of"),
        (("--images", "x", "--fps", "0"), "0 is not a number above 0"),
        (("--images", "x", "--rounds", "101"), "101 is more than 100"),
    ],
)
def test_bad_usage(bench: Bench, words: tuple[str, ...], message: str) -> None:
    status, output, errors = bench(*words)
    assert (status, output) == (2, "")
    assert message in errors


def test_expected_failures_are_one_line(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    for words, message in (
        (("--images", tmp_path / "none"), "none: cannot be read"),
        (("--images", tmp_path), "bad.jpg: 10 bytes"),
        (("--images", _PLATES, "-o", tmp_path / "no" / "r.json"), "r.json: cannot write"),
        (("--images", _PLATES, "--compare", tmp_path / "bad.jpg"), "bad.jpg: not JSON"),
        (("a.tflite", "a.tflite", "--images", _PLATES), "named twice"),
    ):
        status, output, errors = bench(*words)
        assert (status, output, errors.count("\n")) == (1, "", 1)
        assert message in errors


def test_artifacts_without_a_file_are_one_line(bench: Bench, tmp_path: Path) -> None:
    plates = tmp_path / "plates"
    plates.mkdir()
    shutil.copy(_PLATES / "J23dk4123.jpg", plates)
    status, output, errors = bench(tmp_path / "none.tflite", "--images", plates)
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "none.tflite: cannot be read" in errors
    assert opened().path not in errors


def test_a_former_name_of_workers(bench: Bench, fix_record: Callable[[Record], list[dict[str, Any]]]) -> None:
    requests = fix_record(record(result(_TEN)))
    status, _, errors = bench("--images", "plates", "--scenario", "offline", "--readers", 3)
    assert (status, errors) == (0, "edge-crnn bench: --readers is now --workers\n")
    assert [scenario.readers for scenario, _ in requests[0]["plays"]] == [3]
