"""Placing an image of any size on the canvas: scaling, aligning, padding or cropping, then turning."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..images import Pixels
from ..model.spec import InputSpec
from .resampling import resize

_Side = Literal["left", "top", "centre", "right", "bottom"]


def scaled_size(pixels: Pixels, spec: InputSpec) -> tuple[int, int]:
    """Return the width and height in pixels to which an image is scaled, before any padding."""
    height, width = pixels.shape[:2]
    if spec.resize == "paste":
        return width, height
    if spec.resize == "stretch":
        return spec.width, spec.height
    # The side that limits the scale is filled.
    if spec.resize == "fit" and width * spec.height >= height * spec.width:
        return spec.width, _ratio(height * spec.width, width, spec)
    return min(spec.width, _ratio(width * spec.height, height, spec)), spec.height


def place(pixels: Pixels, size: tuple[int, int], spec: InputSpec) -> Pixels:
    """Scale an image and put it on the canvas.

    Args:
        pixels: (H, W) or (H, W, 3), uint8; channels stay in the order blue, green, red.
        size: width and height to which it is scaled, from `scaled_size`.
        spec: the spec of the network's input.

    Returns:
        (spec.height, spec.width) or (spec.height, spec.width, 3), uint8.
    """
    if spec.resize != "paste":
        pixels = resize(pixels, *size, spec.interpolation)
    if pixels.shape[:2] == (spec.height, spec.width):
        return pixels
    top, bottom, pixels = _fitted(pixels, spec.height, spec.align_vertical, spec.odd_pixel)
    left, right, pixels = _fitted(pixels.swapaxes(0, 1), spec.width, spec.align, spec.odd_pixel)
    return _padded(pixels.swapaxes(0, 1), (top, bottom), (left, right), spec)


def turn(pixels: Pixels, degrees: Literal[0, 90, 180, 270]) -> Pixels:
    """Return a view of the image, turned clockwise."""
    return np.rot90(pixels, -degrees // 90) if degrees else pixels


def _ratio(whole: int, part: int, spec: InputSpec) -> int:
    """Return the quotient, rounded as the spec says, at least 1."""
    added = {"down": 0, "nearest": part, "half-even": part, "up": 2 * part - 1}[spec.rounding]
    rounded, rest = divmod(2 * whole + added, 2 * part)
    if spec.rounding == "half-even" and rest == 0:  # exactly between two
        rounded -= rounded % 2
    return max(1, rounded)


def _fitted(pixels: Pixels, size: int, side: _Side, odd: Literal["after", "before"]) -> tuple[int, int, Pixels]:
    """Return the padding before and after along axis 0, and the image cropped to `size` there."""
    missing = size - pixels.shape[0]
    before = _before(abs(missing), side, odd)
    if missing < 0:
        return 0, 0, pixels[before : before + size]
    return before, missing - before, pixels


def _before(pixels: int, side: _Side, odd: Literal["after", "before"]) -> int:
    """Return the part of the pixels to add or crop that stands before an image on this side of the canvas."""
    if side == "centre":
        return (pixels + (odd == "before")) // 2
    return pixels if side in ("right", "bottom") else 0


def _padded(pixels: Pixels, rows: tuple[int, int], columns: tuple[int, int], spec: InputSpec) -> Pixels:
    around = (rows, columns, (0, 0))[: pixels.ndim]
    if not any(map(sum, around)):
        return pixels
    if spec.padding == "edge":
        return np.pad(pixels, around, mode="edge")
    level: int | tuple[int, ...] = spec.padding
    if isinstance(level, tuple):
        if pixels.ndim == 2:
            pixels = pixels[..., np.newaxis]
        level = level[::-1] if spec.colour == "rgb" else level  # the tensor's channels are reversed later
    shape = (spec.height, spec.width, *([spec.channels] if isinstance(level, tuple) else pixels.shape[2:]))
    canvas = np.empty(shape, np.uint8)
    canvas[...] = level
    canvas[rows[0] : spec.height - rows[1], columns[0] : spec.width - columns[1]] = pixels
    return canvas
