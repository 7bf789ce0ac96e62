"""Images → the batch that the network takes; the same code feeds the runtime, calibration and verification.

Every step is a formula in NumPy with one result on every machine. OpenCV's faster grey and resize are used only where
they give the same bits, which is tried once in each process, so that the result does not depend on whether OpenCV is
installed.

    grey → filters → placing (resize, align, pad, rotate) → levels (invert, standardise, scale and offset)

A function of the user's own may stand in place of all of them: see `function`.
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
from .placing import place, turn

__all__ = ["preprocess", "preprocess_into", "resize_exact", "to_grey"]


def preprocess(
    images: Sequence[npt.NDArray[Any]], spec: InputSpec, function: Preprocess | None = None
) -> npt.NDArray[Any]:
    """Images as one batch (N, *spec.shape) of dtype `spec.dtype`.

    Args:
        images: each (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16; any size.
        spec: how they become the tensor.
        function: the one that `spec.function` names; None: the one given to `function.use`.

    Raises:
        ImageError: one of them is no such array.
        InputError: the spec's function is not at hand, or did not give what the network takes.
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
        row: where to.
        image: as for `preprocess`.
        spec: as for `preprocess`.
        name: what an error calls the image.
        function: as for `preprocess`.

    Raises:
        InputError: the row does not fit the spec, or as for `preprocess`.
        ImageError: the image is no array as `preprocess` takes it.
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
    if spec.filters:
        before, after = parse_all(spec.filters)
        pixels = apply(after, place(apply(before, pixels), spec))
    else:
        pixels = place(pixels, spec)
    pixels = turn(pixels, spec.rotate)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis].repeat(spec.channels, axis=2)
    if spec.colour == "rgb":
        pixels = pixels[..., ::-1]
    if spec.axes == "WHC":
        pixels = pixels.swapaxes(0, 1)
    write_levels(row, pixels, spec)
