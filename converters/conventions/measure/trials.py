"""Trials of a network, run by LiteRT, on images prepared in many ways.

Small networks run in float32. Large networks run with int8 weights, several times as fast. The trials compare ways of
preparing images, which change the text far more than the precision does.
"""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.backends.base import Probabilities
from edge_crnn.board.limits import usable_workers
from edge_crnn.images import Pixels
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess

from ...graph.cost import multiplications
from ...graph.graph import Graph
from ...recipe import RECIPES
from ...tflite.to_tflite import to_tflite

_LARGE = 100_000_000
"""Multiplications per image from which a network counts as large."""


class Trials:
    """A network and images; ways of preparing the images are tried on the first few or on all of them.

    Equal tensors are computed once.
    """

    def __init__(self, graph: Graph, image: InputSpec, images: Sequence[Pixels]) -> None:
        """Open an engine for every core.

        Args:
            graph: the trained network, folded.
            image: any spec of the network's shape.
            images: (H, W, 3) uint8 BGR, or (H, W).
        """
        from ai_edge_litert.interpreter import Interpreter

        self.images = images
        recipe = "float32" if multiplications(graph) < _LARGE else "dynamic"
        payload = to_tflite(graph, image, RECIPES[recipe])
        workers = usable_workers(len(payload))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(workers):
            engine = Interpreter(model_content=payload, num_threads=1)
            engine.allocate_tensors()
            self._idle.put(engine)
        self._pool = ThreadPoolExecutor(workers)
        self._results: dict[bytes, npt.NDArray[np.float32]] = {}
        self.runs = 0
        """Number of inferences so far."""

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def probabilities(self, image: InputSpec, count: int) -> Probabilities:
        """Return the probabilities of the first `count` images, prepared as `image` says: (count, T, C) float32."""
        return np.stack(list(self._pool.map(lambda place: self._one(image, place), range(count))))

    def _one(self, image: InputSpec, place: int) -> npt.NDArray[np.float32]:
        tensor = preprocess([self.images[place]], image)
        key = hashlib.blake2b(tensor.tobytes(), digest_size=16).digest()
        if key in self._results:
            return self._results[key]
        engine = self._idle.get()
        try:
            engine.set_tensor(engine.get_input_details()[0]["index"], tensor)
            engine.invoke()
            result: npt.NDArray[np.float32] = engine.get_tensor(engine.get_output_details()[0]["index"])[0]
        finally:
            self._idle.put(engine)
        self.runs += 1
        self._results[key] = result
        return result
