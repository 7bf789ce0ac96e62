"""A reader without an engine, and a driver that reads with it, for tests that start and kill processes.

The text of an image is the content of its file. Two contents do more: `deadly` ends the process, and `broken` is no
image.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edge_crnn.errors import ImageError, InputError
from edge_crnn.reading import Reading
from edge_crnn.scale.job import Settings, open_job
from edge_crnn.scale.local import read_parts
from edge_crnn.scale.work import Workplace, digests


class StubReader:
    """Reads files without an engine; see above."""

    def __init__(self, seconds: float = 0.0, name: str = "stub") -> None:
        self.spec = SimpleNamespace(
            name=name, artifact=SimpleNamespace(payload_sha256="0" * 64), to_json=lambda: f'"{name}"'
        )
        self._seconds = seconds

    def read_each(self, images: Sequence[Any]) -> Iterator[Reading | ImageError]:
        """Read images; every image takes `seconds`."""
        for image in images:
            time.sleep(self._seconds)
            yield self._read(image)

    def _read(self, image: Any) -> Reading | ImageError:
        if isinstance(image, str):
            try:
                data = Path(image).read_bytes()
            except OSError as error:
                unreadable = ImageError(f"{image}: {error.strerror}")
                unreadable.__cause__ = error
                return unreadable
        else:
            data = image.read()
        if data == b"deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if data == b"broken":
            return ImageError(f"{image}: no image")
        return Reading(data.decode(), data.decode(), 0.5, (), (), accepted=True)

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> StubReader:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class NamesItsGpu(StubReader):
    """Reads every image as the GPUs that this process may use."""

    def _read(self, image: Any) -> Reading | ImageError:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        return Reading(visible, visible, 0.5, (), (), accepted=True)


def settings(*inputs: object, **more: Any) -> Settings:
    """Return the settings of a job of the stub reader."""
    model, spec = digests(StubReader())  # type: ignore[arg-type]
    return Settings(tuple(map(str, inputs)), model, spec, {}, **more)


def refuse() -> StubReader:
    """Refuse to open a reader."""
    raise InputError("no such lexicon")


def rows(output: Path) -> list[dict[str, Any]]:
    """Return the rows of all shards, in their order."""
    shards = sorted(output.glob("part-*.jsonl"))
    return [json.loads(line) for shard in shards for line in shard.read_bytes().splitlines()]


def main(folder: str, output: str, workers: str, seconds: str, address: str = "") -> None:
    """Read a folder with processes, or with actors on a Ray cluster."""
    read: Any = read_parts
    if address:
        from edge_crnn.scale import ray

        ray.connect(address)
        read = ray.read_parts
    with open_job(output, settings(folder), readers=16) as job:
        workplace = Workplace(job, partial(StubReader, float(seconds)))  # type: ignore[arg-type]
        for outcome in read(workplace, job.waiting(), int(workers), lambda images: None):
            assert outcome.open_because is None, outcome.open_because


if __name__ == "__main__":
    main(*sys.argv[1:])
