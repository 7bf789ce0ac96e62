"""Read images with artifacts and save the results; the same file runs here and on an emulated processor.

`python reads.py OUT.npz COUNT:ARTIFACT… IMAGE…`: read the first COUNT images with an artifact. A file named
stack.tflite also outputs the end of the int8 convolutions, of which hashes are saved.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from edge_crnn.backends import open_backend
from edge_crnn.backends.base import Backend
from edge_crnn.images import load_image
from edge_crnn.model.artifact import load
from edge_crnn.preprocess import preprocess
from edge_crnn.reader import DEFAULT_MODEL, Reader

STACK = "stack.tflite"


def main(out: str, *words: str) -> None:
    jobs = [(int(count), Path(path)) for count, colon, path in (word.partition(":") for word in words) if colon]
    images = [Path(word) for word in words if ":" not in word]
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for count, path in jobs:
        results = _stack(path, images[:count]) if path.name == STACK else _readings(path, images[:count])
        arrays |= {f"{path.stem} {name}": np.asarray(value) for name, value in results.items()}
    np.savez(out, **arrays)  # type: ignore[arg-type]


class _Recorder:
    """A backend that records its outputs."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self.facts, self.close = backend, backend.facts, backend.close
        self.outputs: list[npt.NDArray[np.float32]] = []

    def infer(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        self.outputs.append(self._backend.infer(batch))
        return self.outputs[-1]


def _readings(path: Path, images: list[Path]) -> dict[str, npt.ArrayLike]:
    artifact = load(path)
    recorder = _Recorder(open_backend(artifact))
    with Reader(artifact.spec, lambda: recorder) as reader:
        texts = [reader.read(image).text for image in images]
    delegate = next(note for note in recorder.facts.notes if "XNNPACK" in note)
    return {"texts": texts, "probabilities": np.concatenate(recorder.outputs), "delegate": delegate}


def _stack(path: Path, images: list[Path]) -> dict[str, npt.ArrayLike]:
    """Return hashes of the input pixels and of the convolutions' end, image by image."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    delegated = [op["op_name"] for op in interpreter._get_ops_details()].count("DELEGATE")
    (takes,), gives = interpreter.get_input_details(), interpreter.get_output_details()
    end = next(output["index"] for output in gives if output["dtype"] is np.int8)
    pixels = preprocess([load_image(image) for image in images], load(DEFAULT_MODEL).spec.input)
    values = []
    for image in pixels:
        interpreter.set_tensor(takes["index"], image[np.newaxis])
        interpreter.invoke()
        values.append(interpreter.get_tensor(end))
    return {"pixels": _hashes(pixels), "values": _hashes(values), "delegate": f"{delegated} parts"}


def _hashes(arrays: npt.ArrayLike) -> list[str]:
    return [hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for array in np.asarray(arrays)]


if __name__ == "__main__":
    main(*sys.argv[1:])
