"""Arrays of one image → pixels: uint8, (H, W) grey or (H, W, 3) BGR.

16 bits become 8 as x / 257, rounded; alpha is laid over white, unless it is zero everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ImageError, ImageTypeError

Pixels = npt.NDArray[np.uint8]

UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p.swapaxes(0, 1)[::-1],
}
"""EXIF orientation → function that turns such an image upright."""

_BAND = 1 << 18  # pixels converted at once, so that a large image needs little extra memory
_DARKEST_WHITE = 1 << 12  # level of 16 bits; white of a camera of 12 bits is below


def from_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert an array from the order red, green, blue to the order of readers: blue, green, red.

        reader.read(from_rgb(frame))

    Arrays are BGR everywhere in edge-crnn, as in OpenCV. Frames of imageio, torchvision, Matplotlib and
    `numpy.asarray(pillow_image)` are RGB. (Picamera2's format called "RGB888" is BGR already.)

    Args:
        image: (H, W, 3) RGB or (H, W, 4) RGBA; uint8 or uint16.

    Returns:
        A view of the same memory, (H, W, 3) BGR, or a copy, (H, W, 4) BGRA.

    Raises:
        ImageError: the array has another shape.
        ImageTypeError: `image` is not a NumPy array.
    """
    if not isinstance(image, np.ndarray):
        raise ImageTypeError(
            f"from_rgb: found {type(image).__name__}, expected a NumPy array (H, W, 3) RGB or (H, W, 4) RGBA; pass"
            " paths, bytes, files and Pillow images directly to the reader"
        )
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ImageError(
            f"from_rgb: found shape {image.shape}, expected (H, W, 3) RGB or (H, W, 4) RGBA; pass grey images"
            " directly to the reader"
        )
    return image[..., ::-1] if image.shape[2] == 3 else image[..., [2, 1, 0, 3]]


def as_pixels(image: object, name: str = "image") -> Pixels:
    """Return a user's array as uint8, (H, W) grey or (H, W, 3) BGR, without a copy if it already has this form.

    Args:
        image: (H, W) or (H, W, 1) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16. A fourth channel that is
            zero everywhere is the padding of a camera's buffer, not alpha, and is ignored.
        name: the name of the image in messages.

    Raises:
        ImageError: the array has another form or masked values, or the brightest of its 16-bit levels is between 1
            and 4095, so that they are likely those of a camera of at most 12 bits.
        ImageTypeError: `image` is not an array.
    """
    if not isinstance(image, np.ndarray):
        raise ImageTypeError(
            f"{name}: found {type(image).__name__}, expected a NumPy array (H, W), (H, W, 3) BGR or (H, W, 4) BGRA;"
            f" {advice_on(image)}"
        )
    if isinstance(image, np.ma.MaskedArray) and np.ma.is_masked(image):
        raise ImageError(
            f"{name}: found a masked array, whose masked pixels have no level; fill them: image.filled(255)"
        )
    if type(image) is not np.ndarray:
        image = np.asarray(image)  # a matrix, for example, has its own arithmetic
    if image.dtype.kind != "u" or image.dtype.itemsize > 2:
        raise ImageError(
            f"{name}: found dtype {image.dtype}, expected uint8 or uint16;"
            " scale it to 0..255 and use .astype(numpy.uint8)"
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or image.size == 0:
        raise ImageError(
            f"{name}: found shape {image.shape}, expected (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA"
            " with at least one pixel; pass one image at a time, channels last"
        )
    if max(image.shape[:2]) >= 1 << 31:
        raise ImageError(f"{name}: found shape {image.shape}, expected sides below 2^31; cut the image first")
    pixels: npt.NDArray[Any] = image[..., 0] if image.ndim == 3 and channels == 1 else image
    if pixels.dtype == np.uint8 and channels != 4:
        return pixels
    try:
        if pixels.dtype.itemsize == 2:
            _check_levels(pixels, name)
        return _converted(pixels)
    except MemoryError as error:
        raise lack_of_memory(name, f"convert shape {image.shape}") from error


def lack_of_memory(name: object, work: str) -> ImageError:
    """Return the error of an image for which memory is short; `work` says what could not be done."""
    return ImageError(f"{name}: not enough memory to {work}; use fewer workers, or end other programs")


def advice_on(image: object) -> str:
    """Return the advice for an object that is no array."""
    if image is None:
        return "cv2.imread returns None for a file that it cannot read: pass the path to learn why"
    if isinstance(image, bytes | bytearray | memoryview) or callable(getattr(image, "read", None)):
        return (
            "decode an image file with edge_crnn.images.read_pixels, and raw pixels with numpy.frombuffer and reshape"
        )
    if isinstance(image, list | tuple | set | Iterator):
        return "read several images with Reader.read_batch, or convert one with numpy.asarray"
    return "convert it with numpy.asarray, colours in the order blue, green, red"


def _check_levels(pixels: npt.NDArray[Any], name: str) -> None:
    """Check that 16-bit levels are not those of a camera of fewer bits, which would look black."""
    brightest = int((pixels[..., :3] if pixels.ndim == 3 else pixels).max())
    if 0 < brightest < _DARKEST_WHITE:
        raise ImageError(
            f"{name}: found 16 bits with no level above {brightest:,} of 65,535, expected 16 full bits; shift the"
            " levels of a camera: image << 4 for 12 bits, image << 6 for 10 bits; or give uint8"
        )


def _converted(pixels: npt.NDArray[Any]) -> Pixels:
    """Convert 16 bits to 8, and lay colours with alpha over white."""
    levels = pixels[..., :3] if pixels.ndim == 3 else pixels
    result = np.empty(levels.shape, np.uint8)  # before the work, so that an image that is too large fails at once
    has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4 and bool(pixels[..., 3].any())
    rows = max(_BAND // pixels.shape[1], 1)
    for top in range(0, len(pixels), rows):
        band = _eight_bits(pixels[top : top + rows])
        if has_alpha:
            band = _over_white(band)
        result[top : top + rows] = band[..., :3] if pixels.ndim == 3 else band
    return result


def _eight_bits(levels: npt.NDArray[Any]) -> Pixels:
    if levels.dtype.itemsize == 1:
        return levels
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _over_white(bgra: Pixels) -> Pixels:
    alpha = bgra[..., 3:].astype(np.uint32)
    return ((bgra[..., :3] * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)
