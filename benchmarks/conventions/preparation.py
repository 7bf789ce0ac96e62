"""The preparation of an image in ten training scripts: from pixels, (H, W, 3) uint8 BGR, to the model's tensor.

They are written as people write them, with OpenCV, Pillow, TensorFlow and NumPy, and use nothing of
`edge_crnn.preprocess`, which is to reproduce them.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from converters.reference.engine import import_keras
from edge_crnn.training.degrade import Image

Tensor = npt.NDArray[np.float32]


def captcha(pixels: Image) -> Tensor:
    """Prepare in grey, stretched by tf.image, 0 to 1, transposed: (100, 32, 1)."""
    tf, _ = import_keras()
    image = tf.image.convert_image_dtype(_decoded(pixels), tf.float32)
    image = tf.image.resize(image, [32, 100])
    return _numbers(tf.transpose(image, perm=[1, 0, 2]))


def handwriting(pixels: Image) -> Tensor:
    """Prepare in grey, fitted in the centre of black, transposed and then mirrored: (128, 32, 1), 0 to 1.

    Transposed and mirrored is turned by 90° clockwise. An odd pixel of padding goes above or to the left.
    """
    tf, _ = import_keras()
    image = tf.image.resize(_decoded(pixels), size=(32, 128), preserve_aspect_ratio=True)
    height, width = 32 - image.shape[0], 128 - image.shape[1]
    image = tf.pad(
        image,
        paddings=[[height - height // 2, height // 2], [width - width // 2, width // 2], [0, 0]],
    )
    image = tf.image.flip_left_right(tf.transpose(image, perm=[1, 0, 2]))
    return _numbers(tf.cast(image, tf.float32) / 255.0)


def image_ocr(pixels: Image) -> Tensor:
    """Prepare in grey, stretched, white ink on black, 0 to 1, transposed: (112, 32, 1)."""
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), (112, 32))
    return np.expand_dims((255 - grey).astype(np.float32).T / 255, -1)


def residual(pixels: Image) -> Tensor:
    """Prepare in RGB, stretched, ImageNet's means and deviations: (32, 100, 3)."""
    rgb = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), (100, 32)).astype(np.float32) / 255
    return _numbers((rgb - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]))


def mobile(pixels: Image) -> Tensor:
    """Prepare in BGR, in a grey letterbox, without scaling the levels: (32, 128, 3), 0 to 255."""
    height, width = pixels.shape[:2]
    ratio = min(32 / height, 128 / width)
    size = round(width * ratio), round(height * ratio)
    across, down = (128 - size[0]) / 2, (32 - size[1]) / 2
    top, bottom = round(down - 0.1), round(down + 0.1)
    left, right = round(across - 0.1), round(across + 0.1)
    image = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return image.astype(np.float32)


def dense(pixels: Image) -> Tensor:
    """Prepare in grey, resized to the height by Pillow's bicubic, last column repeated: (32, 128, 1), -1 to 1."""
    from PIL import Image as PillowImage

    image = PillowImage.fromarray(np.ascontiguousarray(pixels[..., ::-1])).convert("L")
    width = min(128, math.ceil(32 * image.width / image.height))
    resized = np.asarray(image.resize((width, 32), PillowImage.Resampling.BICUBIC), np.float32)
    padded = np.empty((32, 128, 1), np.float32)
    padded[:, :width, 0] = (resized / 255 - 0.5) / 0.5
    padded[:, width:] = padded[:, width - 1 : width]
    return padded


def gated(pixels: Image) -> Tensor:
    """Prepare in grey, fitted at the top left of white, transposed, mean 0 and deviation 1: (128, 32, 1)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    factor = max(width / 128, height / 32)
    size = max(min(128, int(width / factor)), 1), max(min(32, int(height / factor)), 1)
    target = np.ones([32, 128]) * 255
    target[0 : size[1], 0 : size[0]] = cv2.resize(grey, size)
    image = cv2.transpose(target)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(image))
    image = image - mean
    image = image / deviation if deviation > 0 else image
    return np.expand_dims(image, -1).astype(np.float32)


def kaggle(pixels: Image) -> Tensor:
    """Prepare in grey, cropped to the size, at the top left of white, rotated clockwise: (160, 32, 1), 0 to 1."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[:32, :160]
    final = np.ones([32, 160]) * 255
    final[: grey.shape[0], : grey.shape[1]] = grey
    return (cv2.rotate(final, cv2.ROTATE_90_CLOCKWISE) / 255.0).reshape(160, 32, 1).astype(np.float32)


def transformer(pixels: Image) -> Tensor:
    """Prepare in RGB, shrunk by areas, 0 to 1: (32, 128, 3)."""
    image = cv2.resize(pixels, (128, 32), interpolation=cv2.INTER_AREA)
    return _numbers(image[:, :, ::-1] / 255.0)


def one_way(pixels: Image) -> Tensor:
    """Prepare in grey, stretched and inverted: (32, 100, 1), 0 to 255."""
    grey = cv2.resize(cv2.bitwise_not(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)), (100, 32))
    return grey[..., None].astype(np.float32)


def _decoded(pixels: Image) -> Any:
    """Decode the image from a PNG file in grey by TensorFlow, (H, W, 1) uint8."""
    tf, _ = import_keras()
    return tf.io.decode_png(cv2.imencode(".png", pixels)[1].tobytes(), channels=1)


def _numbers(image: Any) -> Tensor:
    return np.ascontiguousarray(image, np.float32)
