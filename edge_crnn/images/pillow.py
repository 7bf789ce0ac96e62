"""Pillow images → pixels, without an import of Pillow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ImageError
from .exif import ORIENTATION
from .header import RefusedError, check_size
from .limits import current_limits
from .pixels import UPRIGHT, Pixels, as_pixels, from_rgb, lack_of_memory


def is_pillow(image: object) -> bool:
    """Return whether an object is a Pillow image, without importing Pillow."""
    return any(base.__name__ == "Image" and base.__module__ == "PIL.Image" for base in type(image).__mro__)


def pillow_pixels(image: Any, name: str) -> Pixels:
    """Return the pixels of a Pillow image; its palette, alpha and orientation are applied.

    Raises:
        ImageError: its level of white is unknown, it exceeds the limit on pixels, or Pillow cannot decode it.
    """
    name = getattr(image, "filename", "") or name
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name}: found a Pillow image of mode {image.mode}, whose level of white is unknown; convert it to 8 bits:"
            " image.convert('L') or 'RGB'"
        )
    try:
        width, height = image.size
        check_size(width, height, current_limits())
        image.load()  # Pillow decodes the file now, and turns a TIFF upright
        orientation = image.getexif().get(ORIENTATION, 1)
        if isinstance(orientation, bytes):  # the value of a BYTE
            orientation = int.from_bytes(orientation, "big")
        mode = _mode(image)
        array = np.asarray(image if image.mode == mode else image.convert(mode))
    except RefusedError as error:
        raise ImageError(f"{name}: {error}") from error
    except MemoryError as error:
        raise lack_of_memory(name, "decode it") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"{name}: Pillow cannot decode it ({error}); copy or save it again") from error
    upright = UPRIGHT.get(orientation, UPRIGHT[1])
    return upright(as_pixels(array if array.ndim == 2 else from_rgb(array), name))


def _mode(image: Any) -> str:
    """Return the mode in which NumPy gets the visible levels of an image."""
    mode: str = image.mode
    if mode == "L" or mode.startswith("I;16"):
        return mode
    palette = getattr(image, "palette", None)
    has_alpha = mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info
    if has_alpha or (mode == "P" and palette is not None and palette.mode == "RGBA"):
        return "RGBA"
    return "L" if mode == "1" else "RGB"
