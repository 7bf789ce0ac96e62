"""The processor time of an image by stage, which names the bottleneck."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_crnn.backends import open_backend
from edge_crnn.images import read_image
from edge_crnn.preprocess import preprocess
from edge_crnn.reader import load, open_reader
from edge_crnn.scale.rows import row, shard_writer

from .crops import contents
from .ways import one_thread

_IMAGES = 500


def measure(model: str, path: Path) -> dict[str, float]:
    """Return stage → processor time per image in milliseconds, in one thread; `reader` contains the stages above it."""
    one_thread()
    times: dict[str, float] = {}
    artifact = load(model)
    images = contents(path, _IMAGES)
    shape = artifact.spec.input

    def add(name: str, work: Callable[[], Sequence[object]]) -> None:
        started = time.process_time()
        count = len(work())
        times[name] = 1e3 * (time.process_time() - started) / count

    engine = open_backend(artifact)
    with open_reader(artifact, workers=1) as reader:
        pictures = [read_image(image) for image in images]
        inputs = [preprocess([picture.pixels], shape) for picture in pictures]
        outputs = [engine.infer(batch) for batch in inputs]
        readings = reader.read_batch(images)
        add("Parquet", lambda: contents(path, _IMAGES))
        add("decoding of the image file", lambda: [read_image(image) for image in images])
        add("preprocessing", lambda: [preprocess([picture.pixels], shape) for picture in pictures])
        add("engine", lambda: [engine.infer(batch) for batch in inputs])
        add("decoding of the text", lambda: [reader.decode(output) for output in outputs])
        add("reader", lambda: reader.read_batch(images))
        rows = shard_writer("jsonl")
        add("rows", lambda: [rows.add(row(path.name, reading, "")) for reading in readings])  # type: ignore[func-returns-value]
    engine.close()
    return times
