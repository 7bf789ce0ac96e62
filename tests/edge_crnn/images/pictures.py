"""Images and image files for tests."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(3)
BGR = cv2.GaussianBlur(RANDOM.integers(0, 256, (48, 96, 3), np.uint8), (0, 0), 1.5)
GREY = np.ascontiguousarray(BGR[..., 0])
RGB = np.ascontiguousarray(BGR[..., ::-1])


def encoded(suffix: str, picture: np.ndarray = BGR, *options: int) -> bytes:
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def saved(kind: str, picture: np.ndarray = RGB, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


def tiff(picture: np.ndarray, photometric: int, **tags: tuple[int, int]) -> bytes:
    """Return an uncompressed TIFF; `t274=(4, 6)` adds tag 274 as a LONG with the value 6."""
    data = picture.tobytes()
    samples = picture.shape[2] if picture.ndim == 3 else 1
    entries = {256: (4, picture.shape[1]), 257: (4, picture.shape[0]), 259: (3, 1), 262: (3, photometric)}
    entries |= {273: (4, 8), 277: (3, samples), 278: (4, picture.shape[0]), 279: (4, len(data))}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    bits = struct.pack(f"<{samples}H", *[8 * picture.itemsize] * samples)
    end = 8 + len(data) + 2 + 12 * (len(entries) + 1) + 4
    rows = {
        tag: struct.pack("<HHI" + ("I" if kind == 4 else "H2x"), tag, kind, 1, value)
        for tag, (kind, value) in entries.items()
    }
    rows[258] = struct.pack("<HHI", 258, 3, samples) + (struct.pack("<I", end) if samples > 2 else bits.ljust(4, b"\0"))
    directory = struct.pack("<H", len(rows)) + b"".join(row for _, row in sorted(rows.items())) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bits
