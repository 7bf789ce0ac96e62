"""The ways of reading the same files. Each runs in a process of its own, which waits for its turn.

A turn is a list of Parquet files, and it is over when all their texts are known. Processes, engines and the cluster
stay open between turns, except the actors for a Ray dataset, which Ray starts for every turn.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edge_crnn.reader import Reader, open_reader
from edge_crnn.scale import local, ray
from edge_crnn.scale.job import Job, Settings, open_job
from edge_crnn.scale.parts import Part
from edge_crnn.scale.work import Workplace, digests

_BATCH = 64
_POLL_S = 0.005


@dataclass(frozen=True)
class Work:
    """The files, and what reads them."""

    turns: tuple[tuple[Path, ...], ...]
    model: str
    readers: int
    output: Path
    """An empty folder for the results of one way."""


def plain(work: Work, pipe: Connection) -> None:
    """Read with a process per core that loops over its share of the files and does nothing else."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for number in range(work.readers):
        ours, theirs = context.Pipe()
        context.Process(target=_loop, args=(work.model, work.output / f"{number}.json", theirs), daemon=True).start()
        pipes.append(ours)
    for files in _turns(work, pipe):
        for number, reader in enumerate(pipes):
            reader.send(files[number :: work.readers])
        for reader in pipes:
            reader.recv()
    for reader in pipes:
        reader.send(None)
        reader.recv()


def processes(work: Work, pipe: Connection) -> None:
    """Read as `read-all` does on one machine."""
    with _job(work) as job:
        for _ in local.read_parts(_workplace(work, job), _parts(work, job, pipe), work.readers, _ignore):
            pass


def actors(work: Work, pipe: Connection) -> None:
    """Read as `read-all --address local` does."""
    _start_ray()
    with _job(work) as job:
        for _ in ray.read_parts(_workplace(work, job), _parts(work, job, pipe), work.readers, _ignore):
            pass


def dataset(work: Work, pipe: Connection) -> None:
    """Read a Ray dataset. Ray opens the readers for every turn, and that counts.

    The processor time of an actor that Ray ends before the turn is over is lost, so compare the images a second.
    """
    _start_ray()
    from ray import data

    data.DataContext.get_current().enable_progress_bars = False
    for number, files in enumerate(_turns(work, pipe)):
        crops = data.read_parquet([str(path) for path in files])
        readings = ray.read(crops, work.model, actors=work.readers).drop_columns(["image"])
        readings.write_parquet(str(work.output / f"{number}"))


@dataclass(frozen=True)
class Way:
    """A way of reading."""

    name: str
    run: Callable[[Work, Connection], None]
    texts: Callable[[Path], dict[str, str]]
    """Takes the output folder and returns name → text."""
    is_worker: Callable[[bytes], bool]
    """Takes the command line of a process, and returns whether it is one of the readers."""


def _is_spawned(command: bytes) -> bool:
    return b"spawn_main" in command


def _plain_texts(output: Path) -> dict[str, str]:
    return dict(pair for path in output.glob("*.json") for pair in json.loads(path.read_bytes()))


def _job_texts(output: Path) -> dict[str, str]:
    lines = [line for path in output.glob("part-*.jsonl") for line in path.read_bytes().splitlines()]
    rows = [json.loads(line) for line in lines]
    return {row["image"]: row["text"] for row in rows}


def _dataset_texts(output: Path) -> dict[str, str]:
    from pyarrow import parquet

    rows = [row for folder in output.iterdir() for row in parquet.read_table(folder).to_pylist()]
    return {row["name"]: row["reading"]["text"] for row in rows}


WAYS = (
    Way("plain loop", plain, _plain_texts, _is_spawned),
    Way("processes", processes, _job_texts, _is_spawned),
    Way("Ray", actors, _job_texts, lambda command: command.startswith(b"ray::_Parts")),
    Way("Ray dataset", dataset, _dataset_texts, lambda command: b"_Batches" in command),
)


def _loop(model: str, output: Path, pipe: Connection) -> None:
    from pyarrow import parquet

    one_thread()
    texts: list[tuple[str, str]] = []
    with open_reader(model, workers=1) as reader:
        while (files := pipe.recv()) is not None:
            for path in files:
                row = 0
                for batch in parquet.ParquetFile(path).iter_batches(_BATCH, columns=["image"]):
                    for reading in reader.read_batch([value.as_py() for value in batch.column(0)]):
                        texts.append((f"{path}#{row}", reading.text))
                        row += 1
            pipe.send(None)
    output.write_text(json.dumps(texts))
    pipe.send(None)


def _turns(work: Work, pipe: Connection) -> Iterator[tuple[Path, ...]]:
    """Yield the files of every turn when it begins, and report when the next one is asked for."""
    for files in work.turns:
        pipe.recv()
        yield files
        pipe.send(None)


def _parts(work: Work, job: Job, pipe: Connection) -> Iterator[tuple[int, Part]]:
    """Yield the parts of every turn. A turn is over when the shards of its parts exist."""
    parts = list(job.waiting())
    for files in _turns(work, pipe):
        paths = {str(path) for path in files}
        numbers = []
        for number, part in parts:
            if part.files[0].path in paths:
                numbers.append(number)
                yield number, part
        while not all(Path(job.shard(number)).exists() for number in numbers):
            time.sleep(_POLL_S)


def _job(work: Work) -> Any:
    """Begin a job that has as many parts in each turn as an ordinary job has."""
    with _reader(work.model) as reader:
        model, spec = digests(reader)
    inputs = tuple(str(path) for files in work.turns for path in files)
    return open_job(str(work.output), Settings(inputs, model, spec, {}), readers=work.readers * (len(work.turns) - 1))


def _workplace(work: Work, job: Job) -> Workplace:
    return Workplace(job, partial(_reader, work.model))


def _reader(model: str) -> Reader:
    one_thread()
    return open_reader(model, workers=1)


def one_thread() -> None:
    """Keep OpenCV to one thread, as `read-all` does: every core has a reader."""
    import cv2

    cv2.setNumThreads(1)


def _start_ray() -> None:
    """Start a cluster whose workers have the priority of all other ways; Ray would give them a lower one."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's spelling
    ray.connect("local")


def _ignore(images: int) -> None:
    """Take the number of images that have been read."""
