from __future__ import annotations

import struct

import pytest

from edge_crnn.errors import ImageError
from edge_crnn.images import Limits, decode_image
from edge_crnn.images.formats import inspect
from edge_crnn.images.header import RefusedError

BRAND = b"\0\0\0\x10ftypavif" + bytes(4)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


@pytest.mark.parametrize(("name", "before"), [(b"meta", 4), (b"iprp", 0), (b"ipco", 0)])
@pytest.mark.parametrize("depth", [9, 1_200])
def test_boxes_in_one_another_have_a_limit(name: bytes, before: int, depth: int) -> None:
    data = b""
    for _ in range(depth):
        data = box(name, bytes(before) + data)
    with pytest.raises(ImageError, match="more than 8 boxes in one another"):
        decode_image(BRAND + data)


def test_boxes_are_counted_in_the_whole_file() -> None:
    inner = box(b"meta", bytes(4) + box(b"free", b"") * 4)
    size = box(b"ispe", struct.pack(">4xII", 3, 4))
    inspect(BRAND + inner * 2 + size, Limits(segments=12))  # ftyp, 2 x (meta + 4), ispe
    with pytest.raises(RefusedError, match="more than 11 boxes"):
        inspect(BRAND + inner * 2 + size, Limits(segments=11))
