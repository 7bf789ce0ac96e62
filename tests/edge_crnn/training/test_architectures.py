"""Both networks against the listings of the code that they come from."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph.oracle import run
from converters.trained.keras.model import load_graph
from edge_crnn.errors import InputError
from edge_crnn.training.architectures import ARCHITECTURES, SOFTMAX, digits, plates


def norm(channels: int) -> list[tuple[int, ...]]:
    return [(channels,), (channels,)]


def conv(*kernel: int) -> list[tuple[int, ...]]:
    return [kernel, (kernel[-1],), *norm(kernel[-1])]


def lstm(width: int) -> list[tuple[int, ...]]:
    return [(width, 1024), (256, 1024), (1024,)]


GRADIENTS = [
    *conv(3, 3, 1, 64),
    *conv(3, 3, 64, 128),
    *conv(3, 3, 128, 256),
    *conv(3, 3, 256, 256),
    *conv(3, 3, 256, 512),
    *conv(3, 3, 512, 512),
    *conv(2, 2, 512, 512),
    *[(2048, 64), (64,)],
    *[*lstm(64), *lstm(64), *norm(256)],
    *[*lstm(256), *lstm(256), *norm(512)],
    *[(512, 42), (42,)],
]
"""Shapes of the plate network's gradients, in the order in which its training listed them."""

OUTPUTS = {
    "conv1": (100, 32, 64),
    "pool1": (50, 16, 64),
    "conv2": (50, 16, 128),
    "pool2": (25, 8, 128),
    "conv3": (25, 8, 256),
    "bnorm1": (25, 8, 256),
    "conv4": (25, 8, 256),
    "pool3": (25, 4, 256),
    "conv5": (25, 4, 512),
    "bnorm2": (25, 4, 512),
    "conv6": (25, 4, 512),
    "pool4": (25, 2, 512),
    "conv7": (24, 1, 512),
    "squeeze": (24, 512),
    "bidirectional-rnn-1": (24, 512),
    "bidirectional-rnn-2": (24, 512),
    "logits": (24, 11),
    "softmax": (24, 11),
}
"""The text line network's layers and what they give."""


@pytest.fixture(scope="module")
def whole(keras: Any) -> dict[str, Any]:
    keras.utils.clear_session()
    return {"plates": plates(), "digits": digits()}


def test_plates_has_the_48_tensors_in_order(whole: dict[str, Any]) -> None:
    assert len(GRADIENTS) == 48
    assert [tuple(variable.shape) for variable in whole["plates"].trainable_variables] == GRADIENTS


def test_plates_has_the_names_of_trained_files(whole: dict[str, Any]) -> None:
    names = {layer.name for layer in whole["plates"].layers}
    numbered = {f"conv{i}" for i in range(1, 7)} | {f"max{i}" for i in range(1, 5)}
    others = {"the_input", "con7", "reshape", "dense1", "lstm1", "lstm1_b", "lstm2", "lstm2_b", "dense2", SOFTMAX}
    assert numbered | others | {f"batch_normalization_{i}" for i in range(1, 10)} <= names


def test_plates_gives_32_steps_of_42_classes(whole: dict[str, Any]) -> None:
    assert whole["plates"].input_shape == (None, 128, 64, 1)
    assert whole["plates"].output_shape == (None, 32, 42)
    assert whole["plates"].count_params() == 7_421_546


def test_digits_has_the_layers_in_order(whole: dict[str, Any]) -> None:
    model = whole["digits"]
    assert {layer.name: layer.output.shape[1:] for layer in model.layers[1:]} == OUTPUTS
    assert [layer.name for layer in model.layers[1:]] == list(OUTPUTS)
    assert model.input_shape == (None, 100, 32, 1)


def test_a_fresh_lstm_of_digits_forgets_little(whole: dict[str, Any]) -> None:
    wrapper = whole["digits"].get_layer("bidirectional-rnn-1")
    for layer in (wrapper.forward_layer, wrapper.backward_layer):
        i, f, g, o = np.split(np.asarray(layer.cell.bias), 4)
        assert (f == 1).all()
        assert not np.concatenate([i, g, o]).any()


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_every_option_converts_to_the_same_network(keras: Any, name: str, rnn: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    model = ARCHITECTURES[name].build(6, width_px=48, height_px=40, width=0.06, rnn=rnn)
    for weight in model.weights:
        if weight.name == "moving_mean":
            weight.assign(np.random.default_rng(0).normal(0, 0.1, weight.shape))
    path = tmp_path / "model.keras"
    model.save(path)
    graph = load_graph(path).folded()
    assert graph.output_shape == (ARCHITECTURES[name].steps(48), 6)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 48, 40, 1)).astype(np.float32)
    assert np.abs(run(graph, images) - model.predict_on_batch(images)).max() < 1e-5


@pytest.mark.parametrize("name", list(ARCHITECTURES))
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width 0: expected"),
        ({"width": 5}, "width 5: expected"),
        ({"rnn": "rwkv"}, "'rwkv': expected one of lstm, gru"),
        ({"width_px": 3}, "image of 3×"),
        ({"height_px": 15}, "×15: the pools need"),
    ],
)
def test_what_cannot_be_built_is_refused(keras: Any, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ARCHITECTURES[name].build(11, **options)


TRAIN_A_STEP = """
import keras, numpy as np
from edge_crnn.training.architectures import ARCHITECTURES
from edge_crnn.training.plan import Plan
from edge_crnn.training.loss import ctc_loss, pack
for name, architecture in ARCHITECTURES.items():
    model = architecture.build(5, width_px=32, height_px=32, width=0.03)
    head = keras.Model(model.inputs, model.get_layer("softmax").input)
    steps = architecture.steps(32) - architecture.skip_steps
    head.compile("adam", ctc_loss(4, architecture.skip_steps))
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 1)).astype("float32")
    packed = pack([[0, 1], [2, 2], [3]], steps, 3)
    losses = [float(head.train_on_batch(images, packed)) for _ in range(6)]
    assert losses[-1] < losses[0], losses
    assert np.allclose(np.sum(model.predict_on_batch(images), -1), 1, atol=1e-5)
print(keras.backend.backend(), end="")
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_both_train_on_the_other_backends(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN_A_STEP],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, backend), done.stderr[-2000:]
