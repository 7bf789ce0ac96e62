"""Preprocessing: images → the batch that the network takes, for the runtime, calibration and verification alike.

Every step is a formula in NumPy with the same result on every machine. OpenCV's grey and resize are faster. They are
used only if a trial, once in each process, shows that they give the same bits. So the result does not depend on whether
OpenCV is installed.

    grey → reducing → filters → placing (resize, align, pad, rotate) → levels (invert, standardise, scale and offset)

A function of the user's own can replace all steps: see `function`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..images import as_pixels
from ..model.filters import parse_all
from ..model.spec import InputSpec
from .exact import resize_exact, to_grey
from .filters import apply
from .function import Preprocess, function_of
from .levels import write_levels
from .placing import place, scaled_size, turn
from .reducing import reduce_area

__all__ = ["preprocess", "preprocess_into", "resize_exact", "to_grey"]


def preprocess(
    images: Sequence[npt.NDArray[Any]], spec: InputSpec, function: Preprocess | None = None
) -> npt.NDArray[Any]:
    """Return images as a batch for the network.

    Args:
        images: (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA arrays; uint8 or uint16; any size.
        spec: the steps that turn an image into the tensor.
        function: the function that `spec.function` names; None: the one passed to `function.use`.

    Returns:
        (N, *spec.shape) of dtype `spec.dtype`.

    Raises:
        ImageError: an image is not such an array.
        InputError: the spec's function is missing, or does not return what the network takes.
    """
    batch = np.empty((len(images), *spec.shape), spec.dtype)
    for index, image in enumerate(images):
        preprocess_into(batch[index], image, spec, f"image {index}", function)
    return batch


def preprocess_into(
    row: npt.NDArray[Any],
    image: npt.NDArray[Any],
    spec: InputSpec,
    name: str = "image",
    function: Preprocess | None = None,
) -> None:
    """Write one image into `row`, one row of a batch: `spec.shape`, `spec.dtype`, C-contiguous.

    Args:
        row: the destination, which is overwritten.
        image: an image, as for `preprocess`.
        spec: the steps, as for `preprocess`.
        name: the name of the image in an error.
        function: the user's function, as for `preprocess`.

    Raises:
        InputError: the row does not fit the spec, or the spec's function fails, as for `preprocess`.
        ImageError: the image is not an array that `preprocess` takes.
    """
    if row.shape != spec.shape or row.dtype != spec.dtype or not row.flags.c_contiguous:
        raise InputError(
            f"found a row {row.shape} of {row.dtype}, expected {spec.shape} of {spec.dtype}, C-contiguous;"
            " make the batch with numpy.empty((n, *spec.shape), spec.dtype)"
        )
    pixels = as_pixels(image, name)
    if (own := function_of(spec.function, function)) is not None:
        row[...] = own.result(pixels, spec.shape, name)
        return
    if spec.colour == "grey":
        pixels = to_grey(pixels)
    size = scaled_size(pixels, spec)
    if spec.reduce == "area":
        pixels = reduce_area(pixels, *size)
    before, after = parse_all(spec.filters)
    pixels = apply(after, place(apply(before, pixels), size, spec))
    pixels = turn(pixels, spec.rotate)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis].repeat(spec.channels, axis=2)
    if spec.colour == "rgb":
        pixels = pixels[..., ::-1]
    if spec.axes == "WHC":
        pixels = pixels.swapaxes(0, 1)
    write_levels(row, pixels, spec)
