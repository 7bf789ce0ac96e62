"""Averaging over blocks, for images that are far larger than the network's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..images import Pixels


def reduce_area(pixels: Pixels, width: int, height: int) -> Pixels:
    """Average blocks of pixels until an image is at most twice as wide as `width` and twice as high as `height`.

    A block is ceil(W / (2 * width)) pixels wide and ceil(H / (2 * height)) high, so the result is never smaller than
    `width` × `height`. The mean is an exact integer sum over the block, divided with halves rounded up. The rows and
    columns at the edges that fill no block are cropped, the odd one after the image; they cover less than half a pixel
    of the target.

    Bilinear resizing reads two neighbours along each axis, so beyond a ratio of 2 it skips pixels: noise stays as
    strong as it was, and fine patterns alias.

    Args:
        pixels: (H, W) or (H, W, 3), uint8.
        width: width in pixels to which the image will be resized.
        height: height in pixels to which it will be resized.

    Returns:
        uint8 of the same number of axes; `pixels` itself where no axis exceeds twice its target.
    """
    down = _block(pixels.shape[0], height)
    across = _block(pixels.shape[1], width)
    if down == across == 1:
        return pixels
    pixels = _whole_blocks(_whole_blocks(pixels, down).swapaxes(0, 1), across).swapaxes(0, 1)
    area = down * across
    rows = pixels.reshape(-1, down, *pixels.shape[1:]).sum(axis=1, dtype=_unsigned(255 * down))
    # NumPy sums a short inner axis slowly, so the columns of a block are added one by one.
    total = np.full(rows[:, ::across].shape, area // 2, _unsigned(256 * area))
    for column in range(across):
        total += rows[:, column::across]
    return (total // area).astype(np.uint8)


def _block(source: int, target: int) -> int:
    """Return the number of source pixels that are averaged along an axis."""
    return -(-source // (2 * target))


def _whole_blocks(pixels: Pixels, block: int) -> Pixels:
    """Crop axis 0 evenly to a multiple of `block`."""
    rest = pixels.shape[0] % block
    return pixels[rest // 2 : pixels.shape[0] - (rest - rest // 2)]


def _unsigned(largest: int) -> npt.DTypeLike:
    """Return the smallest unsigned type that holds `largest`; the narrower, the faster."""
    return np.min_scalar_type(largest)
