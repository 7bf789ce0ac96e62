"""The spatial transformer that Keras CRNNs hand down to each other: a localisation network and a bilinear sampler.

The same arithmetic as in faustomorales/keras-ocr (`_transform`) and janzd/CRNN (`SpatialTransformer`): a grid of -1 to
1 in both directions, sent through the affine matrix, scaled by the *full* width and height, and interpolated with
areas that are measured from the *clipped* corners. At the right and bottom border both corners are the same then, and
their areas cancel each other: such points are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from .keras2 import L, keras


def sampled(inputs: Any) -> Any:
    """Return the feature maps of the first input, seen through the (2, 3) matrices of the second."""
    maps, matrices = inputs
    rows, columns = maps.shape[1:3]
    batch, channels = tf.shape(maps)[0], tf.shape(maps)[3]
    x, y = tf.meshgrid(tf.linspace(-1.0, 1.0, columns), tf.linspace(-1.0, 1.0, rows))
    grid = tf.stack([tf.reshape(x, [-1]), tf.reshape(y, [-1]), tf.ones([rows * columns])])
    points = tf.matmul(tf.reshape(matrices, [-1, 2, 3]), tf.tile(grid[None], [batch, 1, 1]))
    x = 0.5 * (points[:, 0] + 1.0) * tf.cast(columns, "float32")
    y = 0.5 * (points[:, 1] + 1.0) * tf.cast(rows, "float32")

    left, top = tf.cast(tf.floor(x), "int32"), tf.cast(tf.floor(y), "int32")
    right, bottom = tf.clip_by_value(left + 1, 0, columns - 1), tf.clip_by_value(top + 1, 0, rows - 1)
    left, top = tf.clip_by_value(left, 0, columns - 1), tf.clip_by_value(top, 0, rows - 1)
    flat = tf.reshape(maps, [batch, rows * columns, channels])
    corners = [(left, top), (left, bottom), (right, top), (right, bottom)]
    pixels = [tf.gather(flat, row * columns + column, batch_dims=1) for column, row in corners]

    left, right, top, bottom = (tf.cast(side, "float32") for side in (left, right, top, bottom))
    areas = [(right - x) * (bottom - y), (right - x) * (y - top), (x - left) * (bottom - y), (x - left) * (y - top)]
    total = tf.add_n([area[..., None] * pixel for area, pixel in zip(areas, pixels, strict=True)])
    return tf.reshape(total, [batch, rows, columns, channels])


def localisation(shape: tuple[int, int, int], filters: tuple[int, int], units: int) -> Any:
    """Return the nested model that looks at the feature maps and gives six numbers, at first the identity."""
    inputs = L.Input(shape=shape)
    x = L.Conv2D(filters[0], (5, 5), padding="same", activation="relu")(inputs)
    x = L.Conv2D(filters[1], (5, 5), padding="same", activation="relu")(x)
    x = L.Dense(units, activation="relu")(L.Flatten()(x))
    identity = [np.zeros((units, 6), np.float32), np.float32([1, 0, 0, 0, 1, 0])]
    return keras.Model(inputs, L.Dense(6, weights=identity)(x))


def disturb(net: Any, seed: int) -> None:
    """Turn, shift and scale a little, differently for each image, and look over the border."""
    random = np.random.default_rng(seed)
    kernel, bias = net.layers[-1].kernel, net.layers[-1].bias
    kernel.assign(random.normal(0, 0.05 / np.sqrt(kernel.shape[0]), kernel.shape))
    bias.assign(np.float32([1.02, 0.05, -0.03, -0.04, 0.9, 0.06]))
