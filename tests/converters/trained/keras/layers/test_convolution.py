"""Convolutions, pools, and what enlarges or trims feature maps, in one and two dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.graph import oracle
from edge_crnn.errors import ModelFileError
from tests.converters.trained.keras.layers.helpers import (
    KERAS3,
    USUAL,
    Row,
    changed,
    check,
    converted,
    network_of,
    rows,
    save,
)

MAP = (7, 6, 4)
LINE = (9, 4)
FIRST = "channels_first"


def row(
    name: str, shape: tuple[int, ...], layer: str, *sizes: Any, formats: tuple[str, ...] = USUAL, **settings: Any
) -> Row:
    """Return a row with a single layer."""
    return Row(f"{layer} {name}", shape, lambda keras, x: getattr(keras.layers, layer)(*sizes, **settings)(x), formats)


@rows(
    row("", MAP, "Conv2D", 3, 3),
    row("same, even", MAP, "Conv2D", 3, (2, 4), padding="same", activation="relu"),
    row("same, strides", MAP, "Conv2D", 3, (3, 2), strides=(2, 1), padding="same"),
    row("dilation", MAP, "Conv2D", 3, 3, dilation_rate=(1, 2), padding="same", use_bias=False),
    row("groups", MAP, "Conv2D", 6, 3, groups=2, padding="same"),
    row("", LINE, "Conv1D", 3, 3, strides=2),
    row("same", LINE, "Conv1D", 3, 4, padding="same", activation="tanh"),
    row("causal, dilation", LINE, "Conv1D", 3, 2, padding="causal", dilation_rate=3),
    row("groups", LINE, "Conv1D", 6, 3, groups=2),
    row("", MAP, "DepthwiseConv2D", 3),
    row("same, multiplier", MAP, "DepthwiseConv2D", (3, 2), depth_multiplier=2, padding="same", activation="relu"),
    row("strides", MAP, "DepthwiseConv2D", 3, strides=2, padding="same", use_bias=False),
    row("dilation", MAP, "DepthwiseConv2D", 3, dilation_rate=2, padding="same"),
    row("", LINE, "DepthwiseConv1D", 3, depth_multiplier=2),
    row("", MAP, "SeparableConv2D", 5, (3, 2), depth_multiplier=2, padding="same", activation="relu"),
    row("strides", MAP, "SeparableConv2D", 5, 3, strides=2, use_bias=False),
    row("", LINE, "SeparableConv1D", 5, 3, depth_multiplier=2, padding="same"),
    row("causal", LINE, "SeparableConv1D", 5, 3, padding="causal", formats=("keras2.h5",)),
)
def test_convolution(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@rows(
    *(
        row(f"{padding}, {size}, {stride}", MAP, "Conv2DTranspose", 3, size, strides=stride, padding=padding)
        for padding in ("same", "valid")
        for size, stride in ((3, 2), ((2, 3), (2, 1)), (1, 2))
    ),
    row("output padding", MAP, "Conv2DTranspose", 3, 3, strides=2, padding="same", output_padding=(1, 0)),
    row("output padding, valid", MAP, "Conv2DTranspose", 3, 3, strides=2, output_padding=1, activation="relu"),
    row("same", LINE, "Conv1DTranspose", 3, 3, strides=2, padding="same", use_bias=False),
    row("valid", LINE, "Conv1DTranspose", 3, 4, strides=3),
)
def test_transposed(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@rows(
    row("", MAP, "MaxPooling2D"),
    row("same", MAP, "MaxPooling2D", (3, 2), strides=(2, 1), padding="same"),
    row("same", MAP, "AveragePooling2D", 3, strides=2, padding="same"),
    row("apart", MAP, "AveragePooling2D", 2, strides=3),
    row("", LINE, "MaxPooling1D"),
    row("same", LINE, "MaxPooling1D", 3, strides=2, padding="same"),
    row("same", LINE, "AveragePooling1D", 3, strides=2, padding="same"),
    row("", MAP, "GlobalMaxPooling2D"),
    row("", MAP, "GlobalAveragePooling2D", keepdims=True),
    row("first", MAP, "GlobalAveragePooling2D", data_format=FIRST),
    row("first, kept", MAP, "GlobalMaxPooling2D", data_format=FIRST, keepdims=True),
    row("", LINE, "GlobalMaxPooling1D", keepdims=True),
    row("", LINE, "GlobalAveragePooling1D"),
    row("first", LINE, "GlobalAveragePooling1D", data_format=FIRST),
)
def test_pool(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@rows(
    row("", MAP, "ZeroPadding2D"),
    row("sides", MAP, "ZeroPadding2D", ((1, 2), (0, 3))),
    row("first", MAP, "ZeroPadding2D", (2, 1), data_format=FIRST),
    row("", LINE, "ZeroPadding1D", (1, 2)),
    row("sides", MAP, "Cropping2D", ((1, 2), (0, 3))),
    row("first", MAP, "Cropping2D", 1, data_format=FIRST),
    row("", LINE, "Cropping1D", (1, 2)),
    row("nearest", MAP, "UpSampling2D", (2, 3)),
    row("bilinear", MAP, "UpSampling2D", (2, 3), interpolation="bilinear"),
    row("first", MAP, "UpSampling2D", 2, data_format=FIRST),
    row("", LINE, "UpSampling1D", 3),
    row("", MAP, "Resizing", 14, 18),
    row("nearest", MAP, "Resizing", 21, 12, interpolation="nearest"),
    row("antialias", MAP, "Resizing", 7, 18, antialias=True, formats=KERAS3),
    row("first", MAP, "Resizing", 12, 4, data_format=FIRST, formats=KERAS3),
    row("its own size", MAP, "Resizing", 7, 6),
)
def test_size(row: Row, tmp_path: Path) -> None:
    check(row, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 9}, r"size \(14, 9\) of a map \(7, 6, 4\); supported: whole multiples of its rows and columns"),
        ({"height": 1}, r"size \(1, 18\) of a map \(7, 6, 4\); supported: whole multiples"),
        ({"height": None}, "height None, expected 1 whole numbers"),
        ({"interpolation": "bicubic"}, "interpolation 'bicubic'; supported: 'bilinear', 'nearest'"),
        ({"crop_to_aspect_ratio": True}, "crop_to_aspect_ratio True; supported: False"),
        ({"pad_to_aspect_ratio": True}, "pad_to_aspect_ratio True; supported: False"),
        ({"height": 7 << 20}, "at most"),
    ],
)
def test_resizing_not_supported(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    model, *_ = network_of(row("", MAP, "Resizing", 14, 18))
    path = changed(save(model, tmp_path / "model.keras"), "Resizing", change)
    with pytest.raises(ModelFileError, match=message):
        converted(path, MAP)


FIRST_MAP, FIRST_LINE = (4, 7, 8), (4, 9)  # no side as long as there are channels: Keras 3 then adds the bias along it


@rows(
    row("", FIRST_MAP, "Conv2D", 3, (3, 2), padding="same", activation="relu", data_format=FIRST, formats=KERAS3),
    row("", FIRST_LINE, "Conv1D", 3, 3, strides=2, data_format=FIRST, formats=KERAS3),
    row("", FIRST_MAP, "DepthwiseConv2D", 3, data_format=FIRST, formats=KERAS3),
    row("", FIRST_MAP, "SeparableConv2D", 5, 3, padding="same", data_format=FIRST, formats=KERAS3),
    row("", FIRST_MAP, "Conv2DTranspose", 3, 3, strides=2, data_format=FIRST, formats=KERAS3),
    row("", FIRST_MAP, "MaxPooling2D", (3, 2), padding="same", data_format=FIRST, formats=KERAS3),
    row("", FIRST_LINE, "AveragePooling1D", 2, data_format=FIRST, formats=KERAS3),
)
def test_channels_first(row: Row, tmp_path: Path) -> None:
    """Keras 3 turns the maps round where TensorFlow cannot, on a CPU; Keras 2 does not."""
    check(row, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filters": 1 << 25}, "whole numbers from 1"),
        ({"kernel_size": [3]}, "expected 2 whole numbers"),
        ({"padding": "full"}, "padding 'full'; supported: 'valid', 'same'"),
        ({"padding": "causal"}, "padding 'causal'; supported: 'valid', 'same'"),
        ({"groups": 3}, "4 channels and 3 filters in 3 groups"),
        ({"data_format": "channels"}, "data_format 'channels'; supported"),
        ({"strides": [0, 1]}, "strides"),
        ({"padding": "same", "dilation_rate": [1 << 20, 1 << 20]}, "pads a map of .* to 2,097,"),
    ],
)
def test_damaged(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Settings that Keras would not write."""
    model, *_ = network_of(row("", MAP, "Conv2D", 3, 3))
    path = changed(save(model, tmp_path / "model.keras"), "Conv2D", change)
    with pytest.raises(ModelFileError, match=message):
        converted(path, MAP)


@pytest.mark.parametrize("kind", ["SeparableConv2D", "DepthwiseConv2D", "Conv2DTranspose"])
def test_a_bias_that_keras_adds_along_the_columns_is_refused(kind: str, tmp_path: Path) -> None:
    """Keras 3 on TensorFlow does where there are as many columns as channels; without a bias, all is well."""
    settings: dict[str, Any] = {"padding": "same", "data_format": "channels_first", "kernel_size": 3}
    settings |= {"depth_multiplier": 1} if kind == "DepthwiseConv2D" else {"filters": 5}
    for biased in (True, False):
        model, images, expected = network_of(
            Row("", (5, 4, 5), lambda keras, x, b=biased: getattr(keras.layers, kind)(use_bias=b, **settings)(x))
        )
        path = save(model, tmp_path / f"{biased}.keras")
        if biased:
            with pytest.raises(ModelFileError, match="adds the bias along the columns"):
                converted(path, (5, 4, 5))
        else:
            np.testing.assert_allclose(oracle.run(converted(path, (5, 4, 5)), images), expected, atol=1e-4)


def test_a_map_without_channels_is_refused(tmp_path: Path) -> None:
    model, *_ = network_of(row("", MAP, "Conv2D", 3, 3))
    with pytest.raises(ModelFileError, match=r"takes \(7, 6\), expected 3 axes"):
        converted(save(model, tmp_path / "model.keras"), MAP[:2])


def test_names(tmp_path: Path) -> None:
    """A layer's function is a part of it, and verification shows it under that name."""
    model, images, expected = network_of(
        Row("", MAP, lambda keras, x: keras.layers.Conv2D(3, 3, activation="relu", name="c")(x))
    )
    graph = converted(save(model, tmp_path / "model.keras"), MAP)
    assert [node.name for node in graph.nodes] == ["c", "c/relu"]
    np.testing.assert_allclose(oracle.run(graph, images), expected, atol=1e-4)
