"""`edge-crnn info` of trained models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from converters.cli.inspect import inspect
from edge_crnn.model.artifact import load_sidecar, sidecar
from tests.converters.trained.keras.layers.helpers import engine, save
from tests.converters.trained.test_facts import recogniser, with_lookup

Run = Callable[..., tuple[int, list[str], list[str]]]


def by_name(lines: list[str]) -> dict[str, str]:
    return {line[:12].strip(): line[13:] for line in lines if not line.startswith(" ")}


@pytest.fixture
def bare(tiny_keras: Path, tmp_path: Path) -> Path:
    """A trained model without a spec."""
    return Path(shutil.copy(tiny_keras, tmp_path / "mine.keras"))


def test_a_model_without_a_spec(bare: Path, run: Run) -> None:
    status, out, err = run("info", bare)
    assert (status, err) == (0, [])
    shown = by_name(out)
    assert shown["model"].startswith(f"{bare} (")
    assert "parameters" in shown["network"]
    assert "multiplications per image" in shown["network"]
    assert shown["input"].startswith("32 × 16 × 1: width first (axes WHC)")
    assert shown["output"] == "16 steps of 11 classes"
    missing = "\n".join(out)
    assert all(option in missing for option in ("--scale", "--blank first|last", "--alphabet"))
    assert "edge-crnn spec" in shown["next"]
    assert "layers" not in shown
    assert len(out) <= 30


def test_a_model_with_its_spec(tiny_keras: Path, run: Run) -> None:
    status, out, err = run("info", tiny_keras)
    assert (status, err) == (0, [])
    shown = by_name(out)
    spec = load_sidecar(tiny_keras)
    assert shown["spec"].startswith(f"{sidecar(tiny_keras).name}: grey 32 × 16")
    assert f"blank {spec.blank}" in shown["spec"]
    assert f"alphabet {spec.alphabet}" in "\n".join(out)
    assert shown["next"] == f"edge-crnn convert {tiny_keras} --labelled DIR"
    assert "missing" not in shown


def test_a_spec_of_another_network(bare: Path, run: Run) -> None:
    sidecar(bare).write_text(json.dumps({"output": {"steps": 99}}))
    status, out, _ = run("info", bare)
    assert status == 0
    assert "99 steps; the network gives 16" in by_name(out)["spec"]


def test_all_layers(bare: Path, run: Run) -> None:
    _, brief, _ = run("info", bare)
    status, out, _ = run("info", "--all", bare)
    assert status == 0
    layers = [line.split() for line in out if line not in brief]
    assert ["conv2d", "Conv2D", "32", "×", "16", "×", "8"] in [words[-7:] for words in layers]
    assert len(layers) > 20


def test_file_states_alphabet_pixels_and_blank(tmp_path: Path, run: Run) -> None:
    keras = engine("keras3")
    model = with_lookup(keras, keras.layers.StringLookup(vocabulary=list("abcde12"), num_oov_indices=2))
    shown = by_name(run("info", save(model, tmp_path / "a.keras"))[1])
    assert shown["alphabet"] == "7 symbols: abcde12 (before them: 2 for [UNK])"
    scaled = recogniser(keras, before=keras.layers.Rescaling(1 / 255, name="scaled"))
    scaled.compile(loss=keras.losses.CTC())
    shown = by_name(run("info", save(scaled, tmp_path / "b.keras"))[1])
    assert shown["pixels"].startswith("raw pixels, 0 to 255")
    assert "pixel · 0.00392157 + 0 ('scaled')" in shown["pixels"]
    assert shown["blank"].startswith("class 0")


def test_an_open_width(tmp_path: Path, run: Run) -> None:
    path = save(recogniser(engine("keras3"), (None, 16, 1)), tmp_path / "a.keras")
    status, out, _ = run("info", path)
    assert status == 0
    assert by_name(out)["input"].startswith("? × 16 × 1")
    assert "the width of its image (--width)" in "\n".join(out)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A model with two obstacles."""
    keras = engine("keras3")
    layers = keras.layers
    image = keras.Input((32, 16, 1))
    x = layers.Lambda(lambda x: x * 2, name="doubled")(image)
    x = layers.Conv2D(4, 3, padding="same", activation="squareplus", name="unusual")(x)
    x = layers.Dense(5, activation="softmax")(layers.Reshape((32, 64))(x))
    return save(keras.Model(image, x), tmp_path / "odd.keras")


def test_obstacles(odd: Path, run: Run) -> None:
    status, out, err = run("info", odd)
    assert (status, err) == (1, [])
    start = next(index for index, line in enumerate(out) if line.startswith("obstacles    2"))
    assert out[start + 1].startswith("  - layer 'doubled' (Lambda): ")
    assert out[start + 2].startswith("  - layer 'unusual' (Conv2D): activation 'squareplus'")


def test_convert_refuses_with_the_same_list(odd: Path, run: Run, tmp_path: Path) -> None:
    listed = [line for line in run("info", odd)[1] if line.startswith("  - ")]
    status, out, err = run("convert", odd, "--to", "tflite", "--images", tmp_path, "-o", tmp_path / "odd.tflite")
    assert (status, out) == (1, [])
    assert err[0] == f"edge-crnn convert: {odd}: 2 obstacles:"
    assert err[1:] == listed


def test_declared_option_is_no_obstacle(odd: Path, run: Run) -> None:
    status, out, _ = run("info", odd, "--lambda", "doubled=scale 2")
    assert status == 1
    assert by_name(out)["obstacles"].startswith("1, ")
    assert run("info", odd, "--lambda", "doubled")[0] == 2


def test_declaration_in_the_spec_is_no_obstacle(odd: Path, run: Run, tmp_path: Path) -> None:
    sidecar(odd).write_text(json.dumps({"lambdas": {"doubled": "scale 2"}}))
    status, out, _ = run("info", odd)
    assert status == 1
    assert by_name(out)["obstacles"].startswith("1, ")
    functions = tmp_path / "mine.py"
    functions.write_text("LAYERS = {'unusual': lambda layer: layer.concat(\"\", 2, *[layer.x] * 4)}\n")
    assert "obstacles" not in by_name(run("info", "--layers", functions, odd)[1])


def test_json(odd: Path, bare: Path, run: Run) -> None:
    status, out, _ = run("info", "--format", "json", bare)
    data = json.loads("\n".join(out))
    assert status == 0
    assert (data["shape"], data["axes"], data["steps"], data["classes"]) == ([32, 16, 1], "WHC", 16, 11)
    assert data["layers"][0]["shape"] == [32, 16, 8]
    assert len(data["missing"]) == 3
    assert data["spec"] is None
    status, out, _ = run("info", "--format", "json", odd)
    assert status == 1
    first, _ = json.loads("\n".join(out))["obstacles"]
    assert (first["layers"], first["class"]) == (["doubled"], "Lambda")


def test_tensorflow_is_not_started(bare: Path) -> None:
    code = f"""
import sys
from edge_crnn.cli.main import main
assert main(["info", {str(bare)!r}]) == 0
assert not {{"tensorflow", "keras", "tf_keras", "h5py"}} & set(sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_bare_installation_shows_all_but_the_weights(bare: Path, run: Run) -> None:
    """The converters are there, but none of the packages that a conversion needs."""
    code = f"""
import sys
for name in ("h5py", "tensorflow", "keras", "tf_keras", "flatbuffers", "ai_edge_litert", "onnx", "cv2"):
    sys.modules[name] = None
from edge_crnn.cli.main import main
assert main(["info", {str(bare)!r}]) == 0
assert main(["convert", {str(bare)!r}]) == 1
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    shown = by_name(ended.stdout.splitlines())
    assert "h5py" in shown.pop("not read")
    assert shown == by_name(run("info", bare)[1])
    (line,) = ended.stderr.splitlines()
    assert "pip install 'edge-crnn[convert]'" in line


def test_other_files(tmp_path: Path, run: Run) -> None:
    for name, content, words in (
        ("model.pt", b"\x80\x02\x8a\x0al\xfc\x9cF", "a PyTorch file"),
        ("model.keras", b"\x1c\0\0\0TFL3", "a TFLite model"),
        ("model", b"hello, world", "no Keras model"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        status, out, err = run("info", path)
        assert (status, out) == (1, [])
        assert len(err) == 1
        assert words in err[0]


def test_inspection(bare: Path) -> None:
    inspection = inspect(bare)
    assert inspection.obstacles == ()
    assert inspection.layers[0] == ("conv2d", "Conv2D", "32 × 16 × 8")
