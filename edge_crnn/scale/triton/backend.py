"""What Triton's Python backend runs: a reader that gives text for images.

Triton imports the class `TritonPythonModel` from a model's `model.py` and calls it with whole batches, whose requests
may come from many clients. The module `triton_python_backend_utils` exists only in the processes that Triton starts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ImageError
from ...images import Image
from ...reader import Reader, open_reader
from ...reading import Reading
from .wire import IMAGE, PIXELS, READING, reading_json

SETTINGS = "settings"
"""Parameter of the configuration with the options of `open_reader`, as JSON."""
FILE = "file"
"""Parameter of the configuration with the name of the artifact, in the folder of the model's version."""
OUTPUTS: Mapping[str, str] = {
    READING: "STRING",
    "text": "STRING",
    "label": "STRING",
    "error": "STRING",
    "confidence": "FP32",
    "accepted": "BOOL",
}
"""Name of an output → its type in the configuration; each output has the shape (images, 1)."""

_ONE_INPUT = f"expected exactly one of the inputs {IMAGE!r} and {PIXELS!r}; send image files or pixels"
_PLACE_IN_BATCH = re.compile(r"images\[\d+\]")


class TritonPythonModel:
    """The interface that Triton's Python backend asks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the reader with one engine, and read one image, so that the first client does not wait for that."""
        parameters = json.loads(args["model_config"])["parameters"]
        folder = Path(args["model_repository"]) / args["model_version"]
        settings = json.loads(parameters[SETTINGS]["string_value"])
        if args.get("model_instance_kind") == "GPU":
            os.environ["CUDA_VISIBLE_DEVICES"] = _device(args["model_instance_device_id"])
        self._reader: Reader = open_reader(folder / parameters[FILE]["string_value"], workers=1, **settings)
        spec = self._reader.spec.input
        self._reader.read(np.zeros((spec.height, spec.width, 3), np.uint8))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Read the images of all requests together, and answer every request."""
        import triton_python_backend_utils as triton

        batches = [_images(triton, request) for request in requests]
        results = iter(read(self._reader, [image for batch in batches for image in batch or ()]))
        responses = []
        for batch in batches:
            if batch is None:
                responses.append(triton.InferenceResponse([], triton.TritonError(_ONE_INPUT)))
                continue
            outputs = columns([next(results) for _ in batch])
            tensors = [triton.Tensor(name, values) for name, values in outputs.items()]
            responses.append(triton.InferenceResponse(tensors))
        return responses

    def finalize(self) -> None:
        """Close the reader."""
        self._reader.close()


def read(reader: Reader, images: Sequence[Image]) -> list[Reading | ImageError]:
    """Read images of several clients. A damaged image fails alone, and its error calls it `image`."""
    return [
        ImageError(_PLACE_IN_BATCH.sub("image", str(result), count=1)) if isinstance(result, ImageError) else result
        for result in reader.read_each(list(images))
    ]


def columns(results: Sequence[Reading | ImageError]) -> dict[str, Any]:
    """Return the output tensors, each of shape (images, 1); texts are UTF-8 in an array of objects."""
    readings = [None if isinstance(result, ImageError) else result for result in results]
    texts = {
        READING: [reading_json(result) for result in results],
        "text": [b"" if reading is None else reading.text.encode() for reading in readings],
        "label": [b"" if reading is None else reading.label.encode() for reading in readings],
        "error": [_text(result) if isinstance(result, ImageError) else b"" for result in results],
    }
    tensors: dict[str, Any] = {name: np.array(values, np.object_) for name, values in texts.items()}
    tensors["confidence"] = np.array([0 if reading is None else reading.confidence for reading in readings], np.float32)
    tensors["accepted"] = np.array([reading is not None and reading.accepted for reading in readings], np.bool_)
    return {name: tensor[:, None] for name, tensor in tensors.items()}


def _images(triton: Any, request: Any) -> list[Image] | None:
    """Return the images of a request; None unless it has exactly one of the two inputs."""
    encoded, pixels = (triton.get_input_tensor_by_name(request, name) for name in (IMAGE, PIXELS))
    if (encoded is None) == (pixels is None):
        return None
    if encoded is not None:
        return [bytes(data) for data in encoded.as_numpy().ravel()]
    return list(pixels.as_numpy())


def _text(error: ImageError) -> bytes:
    return str(error).encode("utf-8", "backslashreplace")


def _device(number: str) -> str:
    """Return the name of the GPU that has this number among those that Triton sees."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return visible.split(",")[int(number)] if visible else number
