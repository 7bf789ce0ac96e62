from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_crnn.backends import litert
from edge_crnn.cli import info
from edge_crnn.cli.inspection import Inspection
from edge_crnn.cli.main import main
from edge_crnn.errors import BackendError
from edge_crnn.model.artifact import load, save, sidecar
from edge_crnn.model.spec import DecoderSpec, ModelSpec, Parity, ParitySet, Teacher
from edge_crnn.reader import DEFAULT_MODEL

PARITY = Parity(
    verdict="pass",
    gate_agreement=0.995,
    gate_accuracy=0.3,
    agreement=0.998,
    agreement_interval=(0.989, 1.0),
    agreement_shown=0.99,
    accuracy_change=-0.2,
    accuracy_change_interval=(-0.5, 0.1),
    mcnemar_p=1.0,
    max_probability_change=0.1,
    sets=(ParitySet("mild", "ab" * 32, 500, 499, 498, 498, 498), ParitySet("none", "", 0, 0, 0, 0, 0)),
)


def test_an_artifact(tiny_artifacts: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = load(tiny_artifacts("int8", batch=4))
    path = tmp_path / "번호판.tflite"
    save(path, artifact.payload, replace(artifact.spec, parity=PARITY))
    assert main(["info", str(path)]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    rows = {line[:12].strip(): line[13:] for line in streams.out.splitlines()}
    size = path.stat().st_size
    assert rows["model"] == f"tiny ({path}, {size:,} bytes)"
    assert rows["input"] == "grey 32 × 16, stretch, HWC uint8, pixel · 0.00784314 -1"
    assert rows["output"] == "16 steps of 11 classes, blank 10, 2 leading skipped"
    assert rows["alphabet"] == "0123456789"
    assert rows["decoder"] == "greedy, grammar none"
    assert rows["rejection"] == "none: every reading is accepted"
    assert rows["recipe"] == "int8, tflite, batch 4"
    assert rows["payload"].endswith("… (checked)")
    assert rows["calibration"].startswith("8 images, SHA-256 1111")
    assert rows["made with"].startswith("edge-crnn ")
    assert rows["verdict"].startswith("pass: same text on 99.80% (98.90% to 100.00%)")
    assert "mild: 500 images, 99.60% correct (trained model 99.80%)" in streams.out
    assert rows["engine"].startswith("litert, ai_edge_litert ")
    assert "XNNPACK took the graph" in rows["engine"]


def test_the_rejection_of_the_default_model_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    by_default = capsys.readouterr().out
    assert main(["info", "plates"]) == 0
    assert capsys.readouterr().out == by_default
    (rejection,) = re.findall(r"^rejection .*\n(?: .*\n)*", by_default, re.M)
    spec = load(DEFAULT_MODEL).spec
    limit, confidence = spec.decoder.reject_below, spec.confidence
    assert confidence is not None
    (point,) = [point for point in confidence.coverage if point.threshold == limit]
    assert f"readings of confidence below {limit:.6f} are marked as rejected" in rejection
    assert f" of 20,000 images and {point.negatives} of 10,010 negatives; " in rejection
    assert "to turn the threshold off: --min-confidence 0" in rejection
    assert "--target-precision P" in rejection


@pytest.mark.parametrize(
    ("decoder", "row"),
    [
        (DecoderSpec("beam", grammar="[0-9]*"), "readings that do not match the grammar are marked as rejected"),
        (DecoderSpec(reject_below=0.5), "readings of confidence below 0.500000 are marked as rejected"),
    ],
)
def test_other_rejections_are_shown(
    tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], decoder: DecoderSpec, row: str
) -> None:
    artifact = load(tiny_artifact)
    path = tmp_path / "m.tflite"
    save(path, artifact.payload, replace(artifact.spec, decoder=decoder))
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"rejection    {row}\n" in out
    assert ("the threshold was set in the model's spec" in out) == (decoder.reject_below > 0)
    assert "--target-precision" not in out


def test_a_slimmed_network_names_its_teacher(
    tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = load(tiny_artifact)
    path = tmp_path / "m.tflite"
    save(path, artifact.payload, replace(artifact.spec, teacher=Teacher("big.keras", "f" * 64, 0.25)))
    assert main(["info", str(path)]) == 0
    assert "\nnetwork      slimmed from big.keras, 25% of the multiplications (SHA-256 ffff" in capsys.readouterr().out


def test_an_onnx(tiny_onnx: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tiny_onnx("float16"))]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    rows = {line[:12].strip(): line[13:] for line in streams.out.splitlines()}
    assert rows["recipe"] == "float16, onnx, batch 1"
    assert rows["engine"].startswith("onnxrt, onnxruntime ")
    assert "one image at a time; 1 thread" in rows["engine"]


def test_the_digest_of_the_spec_is_shown(
    tiny_artifact: Path, tiny_onnx: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (tiny_artifact, tiny_onnx("float16")):
        artifact = load(source)
        assert artifact.spec_sha256 is not None
        assert main(["info", str(source)]) == 0
        assert f"\nspec         SHA-256 {artifact.spec_sha256[:16]}… (checked)\n" in capsys.readouterr().out


def test_a_file_without_a_digest_is_named(
    tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of version 0.5 and earlier have none."""
    artifact = load(tiny_artifact)
    path = tmp_path / "old.tflite"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("edge_crnn.json", artifact.spec.to_json())
    path.write_bytes(artifact.payload + path.read_bytes())
    assert main(["info", str(path)]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("spec ")]
    assert "no digest" in row
    assert "convert the model again" in row


def test_json_is_the_spec(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--format", "json", str(tiny_artifact)]) == 0
    streams = capsys.readouterr()
    assert ModelSpec.from_json(streams.out) == load(tiny_artifact).spec
    assert json.loads(streams.out)["version"] == 2
    assert streams.err == ""


@pytest.mark.parametrize("name", ["plates.keras", "plates.h5"])
def test_a_trained_model_where_the_converters_are_not_installed(
    name: str,
    tiny_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its file is not opened: its spec lies beside it."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    path = tmp_path / name
    path.write_bytes(b"12345")
    sidecar(path).write_text(replace(load(tiny_artifact).spec, artifact=None).to_json(), encoding="utf-8")
    assert main(["info", str(path)]) == 0
    streams = capsys.readouterr()
    assert f"tiny ({path}, 5 bytes)" in streams.out
    assert "network      not inspected: " in streams.out
    assert "pip install 'edge-crnn[convert]'" in streams.out
    assert "engine" not in streams.out
    assert streams.err == ""
    sidecar(path).unlink()
    assert main(["info", str(path)]) == 1
    assert "pip install 'edge-crnn[convert]'" in capsys.readouterr().err


def test_a_trained_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.keras"
    path.write_bytes(b"12345")
    rows, layers = (("model", "mine"), ("network", "2 layers")), (("a", "Conv2D", "3 × 4"), ("dense", "Dense", "?"))

    def show(obstacles: tuple[str, ...], *options: str) -> tuple[int, list[str]]:
        inspection = Inspection(rows, layers, obstacles, "" if obstacles else "edge-crnn convert", {"steps": 3})
        monkeypatch.setattr(info, "find_inspector", lambda: lambda *_: inspection)
        status = main(["info", *options, str(path)])
        return status, capsys.readouterr().out.splitlines()

    status, lines = show(())
    assert status == 0
    assert lines == ["model        mine", "network      2 layers", "next         edge-crnn convert"]
    status, lines = show(("no", "neither"), "--all")
    assert status == 1
    assert lines[2:4] == ["layers       a      Conv2D  3 × 4", "             dense  Dense   ?"]
    assert lines[4].startswith("obstacles    2")
    assert lines[5:] == ["  - no", "  - neither"]
    status, lines = show((), "--format", "json")
    assert (status, json.loads("".join(lines))) == (0, {"steps": 3})


EXPECTED = {
    "missing artifact": ("none.tflite", "none.tflite: cannot be read (No such file or directory); name a trained or"),
    "missing model": ("none.keras", "none.keras: cannot be read (No such file or directory); name a trained or"),
    "no model": ("bare.keras", "bare.keras: no Keras model (it starts with b'12345')"),
    "damaged": ("damaged.tflite", "damaged.tflite: payload has SHA-256"),
    "a folder": (".", "a folder or device; name a trained model"),
}


@pytest.mark.parametrize(("name", "message"), EXPECTED.values(), ids=EXPECTED)
def test_expected_failures_are_one_line(
    name: str, message: str, tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bare.keras").write_bytes(b"12345")
    data = bytearray(tiny_artifact.read_bytes())
    data[2000] ^= 1
    (tmp_path / "damaged.tflite").write_bytes(data)
    assert main(["info", str(tmp_path / name)]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("edge-crnn info: ")
    assert message in streams.err
    assert streams.err.count("\n") == 1


def test_engine_that_does_not_run_here_is_shown_with_the_rest(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise BackendError("XNNPACK did not take the graph")

    monkeypatch.setattr(litert, "LiteRtBackend", refuse)
    assert main(["info", str(tiny_artifact)]) == 1
    assert "engine       XNNPACK did not take the graph\n" in capsys.readouterr().out


def test_a_format_without_an_engine_here(
    tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plates.other"
    artifact = load(tiny_artifact)
    save(path, artifact.payload, artifact.spec)
    assert main(["info", str(path)]) == 1
    assert "a TFLite model, which is converted already" in capsys.readouterr().err


@pytest.mark.parametrize("control", ["\x1b[31m", "\x9b31m", "\x07", "\n", "\u202e"])
def test_control_characters_of_a_model_do_not_reach_the_terminal(
    control: str, tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = load(tiny_artifact)
    folder = tmp_path / f"a{control}b"
    folder.mkdir()
    spec = replace(original.spec, name=f"evil{control}")
    evil = save(folder / "evil.tflite", original.payload, spec)
    plain_lines = main(["info", str(tiny_artifact)]), capsys.readouterr().out.count("\n")
    assert main(["info", str(evil.path)]) == 0
    text = capsys.readouterr().out
    assert control[0] not in text.replace("\n", "") or control == "\n"
    assert text.count("\n") == plain_lines[1]
    assert main(["info", str(evil.path), "--format", "json"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["name"] == f"evil{control}"
    assert control[0] not in text.replace("\n", "")
