"""Requests to a Triton server and its answers: the Open Inference Protocol (KServe v2) with binary tensors.

A body has a JSON object, whose length an HTTP header states, and after it the bytes of the tensors. An element of a
BYTES tensor is its length, 4 bytes little-endian, and its content. The source is "Binary Tensor Data Extension" in the
documentation of Triton Inference Server.

A request has one of two inputs:

| input | datatype | shape |
|---|---|---|
| `image` | BYTES | (N, 1): the bytes of image files |
| `pixels` | UINT8 | (N, H, W, C): grey images (C = 1) or BGR images (C = 3) of one size |

The output `reading` has everything that `Reading` has, as JSON; the other outputs are for clients that are not ours.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...errors import BackendError, ImageError
from ...model.typed import build
from ...reading import Reading

IMAGE = "image"
"""Name of the input for image files."""
PIXELS = "pixels"
"""Name of the input for pixels."""
READING = "reading"
"""Name of the output that has everything."""
LENGTH_HEADER = "Inference-Header-Content-Length"
"""HTTP header with the length of the JSON object, in bytes."""

Encoded: TypeAlias = bytes
"""The content of an image file."""
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, C) uint8 with 1 or 3 channels."""


def request_body(images: Sequence[Encoded] | Sequence[Pixels]) -> tuple[bytes, int]:
    """Return the body of a request, and the length of its JSON in bytes.

    Args:
        images: at least one; all of them files, or all of them pixels of one size.
    """
    if isinstance(images[0], bytes):
        name, datatype, shape = IMAGE, "BYTES", [len(images), 1]
        data = packed([bytes(image) for image in images])
    else:
        batch = np.stack([np.asarray(image) for image in images])
        name, datatype, shape = PIXELS, "UINT8", list(batch.shape)
        data = batch.tobytes()
    tensor = {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
    wanted = {"name": READING, "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    return head + data, len(head)


def readings_in(body: bytes, length: int | None, count: int) -> list[Reading | ImageError]:
    """Return the readings in the body of an answer.

    Args:
        body: the body.
        length: the length of its JSON in bytes; None: all of it.
        count: the number of images in the request.

    Raises:
        BackendError: the answer does not have this form.
    """
    try:
        head = json.loads(body[:length])
        texts = _elements(head["outputs"], b"" if length is None else body[length:])
        if len(texts) != count:
            raise ValueError(f"{len(texts)} readings of {count} images")
        return [_reading(text) for text in texts]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackendError(
            f"the server's answer cannot be understood ({error}); export the model again with this version of edge-crnn"
        ) from error


def reading_json(result: Reading | ImageError) -> bytes:
    """Return the reading of an image, or its error, as JSON."""
    content = {"error": str(result)} if isinstance(result, ImageError) else asdict(result)
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")


def packed(elements: Sequence[bytes]) -> bytes:
    """Return the bytes of a BYTES tensor."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def unpacked(data: bytes) -> list[bytes]:
    """Return the elements of a BYTES tensor.

    Raises:
        ValueError: the data ends within an element.
    """
    elements = []
    place = 0
    while place < len(data):
        if place + 4 > len(data):
            raise ValueError("its binary data ends within a length")
        (length,) = struct.unpack_from("<I", data, place)
        place += 4 + length
        if place > len(data):
            raise ValueError("its binary data ends within an element")
        elements.append(data[place - length : place])
    return elements


def _elements(outputs: Sequence[dict[str, Any]], data: bytes) -> list[bytes]:
    """Return the elements of the output `READING`; binary outputs lie one after the other."""
    start = 0
    for output in outputs:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        if not isinstance(size, int) or size < 0 or start + size > len(data):
            raise ValueError("its binary data is cut short")
        if output["name"] == READING:
            return (
                [str(text).encode() for text in output["data"]]
                if "data" in output
                else unpacked(data[start : start + size])
            )
        start += size
    raise ValueError(f"it has no output {READING!r}")


def _reading(text: bytes) -> Reading | ImageError:
    content = json.loads(text)
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        return ImageError(content["error"])
    return build(Reading, content, "reading", BackendError)
