"""The check that an argument is several images, not a single one, whose parts would each be taken for an image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import InputTypeError
from ..images import Image
from ..images.pillow import is_pillow


def several(images: Iterable[Image]) -> Iterable[Image]:
    """Return `images` as they are.

    Raises:
        InputTypeError: they are a single image, or are not iterable, or are a mapping.
    """
    problem = _problem(images)
    if problem is not None:
        raise InputTypeError(f"images is {problem}")
    return images


def _problem(images: object) -> str | None:
    """Return what is wrong and what to do; None if nothing is wrong."""
    kind = type(images).__name__
    one = "expected several images; pass a list, [image], or use read"
    if isinstance(images, str | os.PathLike):
        if os.path.isdir(images):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            return f"the folder {os.fspath(images)!r}, expected its images; pass edge_crnn.dataset.find_images(folder)"
        return f"the single path {os.fspath(images)!r}, {one}"
    if isinstance(images, np.ndarray):
        is_image = images.ndim < 3 if images.dtype.kind in "biufc" else images.ndim == 0
        if is_image or (images.ndim == 3 and images.shape[2] in (1, 3, 4)):
            return f"a single array of shape {images.shape}, {one}"
        return None
    if isinstance(images, bytes | bytearray | memoryview) or is_pillow(images) or _is_file(images):
        return f"a single {kind}, {one}"
    if isinstance(images, Mapping):
        return f"a {kind}, expected its values; pass list(images.values())"
    if callable(getattr(images, "__iter__", None)) or callable(getattr(images, "__getitem__", None)):
        return None
    if callable(getattr(images, "read", None)):
        return f"a {kind}, expected an iterable; write a generator that yields its frames"
    return f"{kind}, expected a list or another iterable of images"


def _is_file(images: object) -> bool:
    return callable(getattr(images, "read", None)) and callable(getattr(images, "readline", None))
