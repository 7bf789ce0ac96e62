"""Checkpoints as TensorFlow 1 writes them: the graph computes what TensorFlow computes, anything else is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.graph import oracle
from converters.graph.cells import Array, LstmCell
from converters.graph.graph import Graph
from converters.graph.nodes import Affine, Recurrent
from converters.pipeline import open_source, reference_readings
from converters.reference.tf1 import Tf1Reference
from converters.trained.tf1.checkpoint import Checkpoint, find_checkpoint
from converters.trained.tf1.model import load_tf1_graph
from edge_crnn.cli.main import main
from edge_crnn.dataset import find_images, load_labelled
from edge_crnn.errors import ModelFileError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load, sidecar
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec

DIGITS = ModelSpec(
    name="digits",
    symbols=tuple("0123456789"),
    blank=10,
    input=InputSpec(width=100, height=32, axes="WHC", scale=1 / 127.5, offset=-1.0),
    output=OutputSpec(steps=24, classes=11),
)


def index(folder: Path) -> Path:
    checkpoint = find_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint


@pytest.mark.parametrize("name", ["fresh", "trained", "full"])
def test_logits_are_tensorflows(checkpoints: Path, name: str) -> None:
    graph = load_tf1_graph(index(checkpoints / name))
    expected = np.load(checkpoints / name / "logits.npy")
    images = np.load(checkpoints / "images.npy")
    for variant in (graph, graph.folded()):
        logits = oracle.run(Graph(variant.input_shape, variant.nodes[:-1]), images)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > (0.005 if name == "fresh" else 0.1)  # the images tell


@pytest.mark.parametrize("name", ["fresh", "trained"])
def test_the_reference_is_tensorflow_as_of_old(checkpoints: Path, name: str) -> None:
    reference = Tf1Reference(index(checkpoints / name), batch=2)
    logits = np.exp(np.load(checkpoints / name / "logits.npy"))
    probabilities = reference.infer(np.load(checkpoints / "images.npy"))
    np.testing.assert_allclose(probabilities, logits / logits.sum(axis=-1, keepdims=True), atol=1e-5)
    assert (reference.facts.name, reference.facts.precision) == ("tensorflow", "float32")


def test_published_shapes(checkpoints: Path) -> None:
    """25 steps before the last convolution, 24 after it."""
    graph = load_tf1_graph(index(checkpoints / "full"))
    shapes = graph.shapes
    assert {name: shape for name, shape in shapes.items() if "conv" in name or "pool" in name} == {
        "conv2d": (100, 32, 64),
        "max_pooling2d": (50, 16, 64),
        "conv2d_1": (50, 16, 128),
        "max_pooling2d_1": (25, 8, 128),
        "conv2d_2": (25, 8, 256),
        "conv2d_3": (25, 8, 256),
        "max_pooling2d_2": (25, 4, 256),
        "conv2d_4": (25, 4, 512),
        "conv2d_5": (25, 4, 512),
        "max_pooling2d_3": (25, 2, 512),
        "conv2d_6": (24, 1, 512),
    }
    assert (shapes["Squeeze"], shapes["bidirectional-rnn-2"], graph.output_shape) == ((24, 512),) * 2 + ((24, 11),)


def test_norms_that_stand_before_a_padded_convolution_stay(checkpoints: Path) -> None:
    fresh, trained = (load_tf1_graph(index(checkpoints / name)).folded() for name in ("fresh", "trained"))
    norm, _ = (layer for layer in fresh.nodes if isinstance(layer, Affine))
    np.testing.assert_allclose(norm.scale, 1 / np.sqrt(1.001), rtol=1e-6)
    assert not norm.shift.any()
    assert len([layer for layer in trained.nodes if isinstance(layer, Affine)]) == 2


def test_forget_bias_is_folded_and_gates_are_in_keras_order(checkpoints: Path) -> None:
    layer = next(node for node in load_tf1_graph(index(checkpoints / "fresh")).nodes if isinstance(node, Recurrent))
    assert isinstance(layer.forward, LstmCell)
    np.testing.assert_array_equal(layer.forward.bias.reshape(4, -1), np.repeat([[0], [1], [0], [0]], 16, axis=1))
    name = "bidirectional-rnn-1/bidirectional_rnn/fw/basic_lstm_cell/kernel"
    kernel = Checkpoint(index(checkpoints / "fresh")).array(name)
    np.testing.assert_array_equal(layer.forward.kernel[:, 16:32], kernel[:32, 32:48])  # f is third there
    np.testing.assert_array_equal(layer.forward.recurrent[:, 32:48], kernel[32:, 16:32])


# --- what is refused -------------------------------------------------------------------------------------------------


class Variables:
    """A checkpoint in memory."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self.shapes = {name: array.shape for name, array in arrays.items()}

    def array(self, name: str) -> Array:
        return self._arrays[name]


@pytest.fixture
def changed(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`changed(**{NAME: array or None})`: what is said of the checkpoint `trained` with these variables."""
    whole = Checkpoint(index(checkpoints / "trained"))

    def load_changed(changes: dict[str, Array | None], shape: tuple[int, ...] = (100, 32, 1)) -> str:
        arrays = {name: whole.array(name) for name in whole.shapes}
        arrays |= {name: array for name, array in changes.items() if array is not None}
        for name in (name for name, array in changes.items() if array is None):
            del arrays[name]
        monkeypatch.setattr("converters.trained.tf1.model.Checkpoint", lambda _: Variables(arrays))
        with pytest.raises(ModelFileError) as caught:
            load_tf1_graph(Path("x.index"), shape)
        message = str(caught.value)
        assert message.startswith("x.index: ")
        assert len(message) <= 1000
        return message

    return load_changed


FORWARD = "bidirectional-rnn-2/bidirectional_rnn/fw/basic_lstm_cell"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"W": None, "b": None, "conv2d_6/bias": None, "conv2d/bias": None}, "lacks the variables conv2d/bias, conv"),
        ({"dense/kernel": np.zeros((2, 2))}, "has, too, the variables dense/kernel: not the digits network"),
        ({"conv2d_7/kernel": np.zeros(1)}, "conv2d_7/kernel"),
        (
            {"model/layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE": np.zeros(1)},
            "a checkpoint of TensorFlow 2, which holds weights only; build the model in code",
        ),
        ({"_CHECKPOINTABLE_OBJECT_GRAPH": np.zeros(1)}, "model.load_weights('NAME')"),
        ({"conv2d/kernel": np.zeros((5, 5, 1, 4))}, "conv2d/kernel and conv2d/bias have shapes (5, 5, 1, 4) and (4,)"),
        ({"conv2d/kernel": np.zeros((3, 3, 1))}, "expected (3, 3, in, out) and (out,)"),
        ({"conv2d/bias": np.zeros(5)}, "expected (3, 3, in, out)"),
        ({"conv2d_6/kernel": np.zeros((3, 3, 32, 32))}, "expected (2, 2, in, out)"),
        ({"conv2d_1/kernel": np.zeros((3, 3, 5, 8))}, "layer 'conv2d_1' (Conv) cannot take (50, 16, 4)"),
        ({"batch_normalization/gamma": np.zeros(5)}, "batch_normalization: its variables have shapes [(5,), (16,)]"),
        ({"batch_normalization/moving_variance": np.full(16, -1.0)}, "a variance is negative"),
        ({f"batch_normalization/{role}": np.full(16, 3e38) for role in ("gamma", "moving_mean")}, "too large"),
        ({f"{FORWARD}/kernel": np.zeros((48, 60))}, f"{FORWARD}/kernel and {FORWARD}/bias have shapes (48, 60)"),
        ({f"{FORWARD}/kernel": np.zeros((16, 64))}, "expected (in + units, 4 units)"),
        ({f"{FORWARD}/kernel": np.zeros(64)}, "expected (in + units, 4 units)"),
        ({f"{FORWARD}/kernel": np.zeros((0, 0)), f"{FORWARD}/bias": np.zeros(0)}, "expected (in + units"),
        ({f"{FORWARD}/kernel": np.zeros((47, 64))}, "cannot take (24, 32)"),
        ({"W": np.zeros((31, 11))}, "'W' (Dense) cannot take (24, 32)"),
        ({"W": np.zeros((32, 0)), "b": np.zeros(0)}, "W and b have shapes (32, 0)"),
    ],
)  # fmt: skip
def test_other_networks(changed: Callable[..., str], changes: dict[str, Array | None], words: str) -> None:
    assert words in changed(changes)


def test_other_images(changed: Callable[..., str]) -> None:
    assert "shrinks to height 6, expected 1" in changed({}, (32, 100, 1))
    assert "'conv2d' (Conv) cannot take (100, 32, 3)" in changed({}, (100, 32, 3))
    assert "cannot take (1, 1, 4)" in changed({}, (1, 1, 1))


def test_variables_of_optimisers_are_left_out(checkpoints: Path) -> None:
    names = Checkpoint(index(checkpoints / "trained")).shapes
    assert {"conv2d/kernel/Adam", f"{FORWARD}/bias/Adam_1", "W/Adam", "beta1_power"} <= set(names)
    graph = load_tf1_graph(index(checkpoints / "trained"))
    model = [name for name in names if "Adam" not in name and "power" not in name]
    widths = sum(int(np.prod(names[name])) for name in model)
    assert graph.parameters == widths - 2 * (16 + 32)  # four values a channel are two in the graph


# --- from the command line -------------------------------------------------------------------------------------------


@pytest.fixture
def model(checkpoints: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(checkpoints / "trained", tmp_path / "model"))
    sidecar(folder / "model-1000").write_text(DIGITS.to_json(), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["", "model-1000", "model-1000.index", "model-1000.data-00000-of-00001"])
def test_a_checkpoint_goes_by_many_names(model: Path, name: str) -> None:
    source = open_source(model / name)
    assert source.path == model / "model-1000.index"
    assert source.spec == DIGITS
    assert sidecar(source.path) == model / "model-1000.json"


def test_spec_must_exist_and_fit(model: Path) -> None:
    with pytest.raises(ModelFileError, match="shrinks to height 6"):
        open_source(model, replace(DIGITS, input=replace(DIGITS.input, axes="HWC")))
    with pytest.raises(ModelSpecError, match="25 steps; the network gives 24"):
        open_source(model, replace(DIGITS, output=OutputSpec(25, 11)))
    assert open_source(model, replace(DIGITS, input=replace(DIGITS.input, width=60), output=OutputSpec(14, 11)))
    sidecar(model / "model-1000.index").unlink()
    with pytest.raises(ModelFileError, match=r"model-1000\.index: .* --width"):
        open_source(model)


def test_convert_and_verify(
    model: Path, labelled_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = Path(shutil.copytree(labelled_folder, tmp_path / "pictures"))
    source = open_source(model)
    (read,) = reference_readings(source, [load_labelled(pictures, DIGITS.alphabet)])
    assert len(set(read.labels)) > 20
    rows = (f"{path.name},{label}" for path, label in zip(find_images(pictures), read.labels, strict=True))
    (pictures / "labels.csv").write_text("\n".join(["image,label", *rows]))

    target = tmp_path / "digits.tflite"
    gates = ["--gate-agreement", "90", "--gate-accuracy", "10"]
    words = ["convert", model, "--recipe", "float32", "--labelled", pictures, "-o", target, *gates]
    assert main([str(word) for word in words]) == 0
    assert "a softmax is added" in capsys.readouterr().out
    artifact = load(target)
    assert artifact.spec.parity is not None
    assert artifact.spec.parity.max_probability_change < 1e-4
    assert artifact.spec.artifact is not None
    assert artifact.spec.artifact.source_sha256 == sha256((model / "model-1000.index").read_bytes())
    words = ["verify", model / "model-1000", target, "--labelled", pictures, *gates]
    assert main([str(word) for word in words]) == 0
    assert "same text 100.00%" in capsys.readouterr().out


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda folder: os.truncate(folder / "model-1000.data-00000-of-00001", 1000), "is cut short"),
    "no data": (lambda folder: (folder / "model-1000.data-00000-of-00001").unlink(), "No such file"),
    "no index": (lambda folder: (folder / "model-1000.index").write_bytes(b"none"), "no index of a TensorFlow check"),
    "list": (
        lambda folder: (folder / "checkpoint").write_text('model_checkpoint_path: "../x"'),
        "names '../x', of whi",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line_and_tensorflow_never_starts(
    case: str,
    model: Path,
    labelled_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("converters.reference.tf1.import_tensorflow", lambda: pytest.fail("TensorFlow was started"))
    damage, words = DAMAGE[case]
    damage(model)
    command = ["convert", str(model), "--labelled", str(labelled_folder), "-o", str(model / "x.tflite")]
    assert main([*command, "--recipe", "float32"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edge-crnn convert: {model}")
    assert words in line
    assert not (model / "x.tflite").exists()


def test_info(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model / "model-1000.index"), "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["shape"], data["axes"], data["steps"], data["classes"]) == ([100, 32, 1], "WHC", 24, 11)
    assert ModelSpec.from_json(json.dumps(data["spec"])) == DIGITS
