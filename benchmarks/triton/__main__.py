"""`python -m benchmarks.triton`: many clients of a Triton server, compared with one reader in a process.

The server runs the plate model in the Python backend, with one instance per core; see `server.py` for what it needs.
The same images are read four ways: by one reader in this process, one image at a time; by 32 clients that send one
image each, which Triton batches; by one client with requests of several sizes; and by a client whose server is killed.
All texts must be those of the reader in this process. Other load on the machine slows all of them down.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_crnn.bench.contention import Contention
from edge_crnn.board.limits import usable_cores
from edge_crnn.errors import ImageError
from edge_crnn.files import write_atomically
from edge_crnn.reader import load, open_reader
from edge_crnn.reading import Reading
from edge_crnn.records import form
from edge_crnn.scale.triton.client import Client
from edge_crnn.scale.triton.repository import Serving, write_repository

from ..record import header, typed
from .server import ROOT, Server, problem

MODEL = "plates"
FOLDERS = ("plates", "lines", "calibration", "lines-calibration")
REQUESTS = (1, 8, 16, 64)
"""Images per request of a single client."""
_ROUND = 250
"""Images that one way of reading reads before the other's turn."""


def main() -> None:
    """Print the figures, and with `-o` write them as JSON; exit with 1 if a text differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="of samples/ (default: 1000)")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if reason := problem():
        sys.exit(reason)
    paths = [path for folder in FOLDERS for path in sorted((ROOT / "samples" / folder).glob("*.jpg"))]
    images = [path.read_bytes() for path in paths[: arguments.images]]
    with tempfile.TemporaryDirectory(prefix="edge-crnn-") as folder:
        repository = Path(folder, "repository")
        write_repository(load(MODEL), repository, MODEL, Serving(instances=usable_cores()))
        server = Server(repository, Path(folder))
        server.start()
        try:
            figures = _figures(server, images, arguments.clients)
        finally:
            server.kill()
    print(json.dumps(figures, indent=1))
    if arguments.output:
        record = {**form.plain(header(typed("triton"), model=MODEL, images_are="rendered plates and lines")), **figures}
        write_atomically(arguments.output, form.dumps(record).encode())
    sys.exit(any(figures["texts that differ"].values()))


def _figures(server: Server, images: Sequence[bytes], clients: int) -> dict[str, Any]:
    assert server.process is not None
    contention = Contention([os.getpid(), *server.processes()])
    differ: dict[str, int] = {}
    expected: list[Reading] = []
    alone, together = _Way(), _Way()
    before = server.statistics(MODEL)
    with open_reader(MODEL, workers=1) as reader:
        reader.read(images[0])
        for first in range(0, len(images), _ROUND):  # the two take turns, so that other load slows both down
            some = images[first : first + _ROUND]
            begun = time.process_time()
            expected += _one_after_the_other(reader.read, some, alone)
            alone.processor_s += time.process_time() - begun
            begun = server.processor_s()
            together.readings += _many_clients(server.url, some, clients, together)
            together.processor_s += server.processor_s() - begun
    batches = _batches(before, server.statistics(MODEL))

    def compare(name: str, readings: Sequence[Reading | ImageError]) -> None:
        differ[name] = sum(str(a) != str(b) for a, b in zip(readings, expected, strict=True))

    compare(f"{clients} clients", together.readings)
    requests = {}
    for size in REQUESTS:
        with Client(server.url, MODEL, batch=size) as client:
            started = time.perf_counter()
            compare(f"requests of {size}", client.read_batch(images))
            requests[str(size)] = len(images) / (time.perf_counter() - started)
    others = contention.cores()
    return {
        "images": len(images),
        "bytes per image": sum(map(len, images)) / len(images),
        "cores": usable_cores(),
        "cores that other programs kept busy": others,
        "one reader": alone.summary(),
        f"{clients} clients": together.summary(),
        "executions by batch size": batches,
        "images a second by images per request": requests,
        "a garbage image among others": _garbage(server.url, images, expected, clients),
        "a server that is killed": _killed(server, images[:64], expected[:64]),
        "texts that differ": differ,
    }


@dataclass
class _Way:
    """One of the ways in which all images are read."""

    times: list[float] = field(default_factory=list)
    """Seconds that every image took."""
    elapsed: float = 0.0
    processor_s: float = 0.0
    readings: list[Reading] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        return {
            "images a second": len(self.times) / self.elapsed,
            "p50 ms": 1e3 * statistics.median(self.times),
            "p99 ms": 1e3 * float(np.percentile(self.times, 99)),
            "processor ms per image": 1e3 * self.processor_s / len(self.times),
        }


def _one_after_the_other(read: Callable[[bytes], Reading], images: Sequence[bytes], way: _Way) -> list[Reading]:
    readings = []
    started = time.perf_counter()
    for image in images:
        begun = time.perf_counter()
        readings.append(read(image))
        way.times.append(time.perf_counter() - begun)
    way.elapsed += time.perf_counter() - started
    return readings


def _many_clients(url: str, images: Sequence[bytes], clients: int, way: _Way) -> list[Reading]:
    """Read images with clients that have one image under way each, as boards do."""
    times: list[float] = [0.0] * len(images)
    readings: list[Any] = [None] * len(images)

    def work(number: int) -> None:
        with Client(url, MODEL) as client:
            client.facts()
            barrier.wait()
            for place in range(number, len(images), clients):
                begun = time.perf_counter()
                readings[place] = client.read(images[place])
                times[place] = time.perf_counter() - begun

    barrier = threading.Barrier(clients + 1)
    with ThreadPoolExecutor(clients) as pool:
        tasks = [pool.submit(work, number) for number in range(clients)]
        barrier.wait()
        started = time.perf_counter()
        for task in tasks:
            task.result()
        way.elapsed += time.perf_counter() - started
    way.times += times
    return readings


def _batches(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    """Return the size of a batch → the number of times that the reader got such a batch between two moments."""
    counts = [
        {batch["batch_size"]: batch["compute_infer"]["count"] for batch in moment.get("batch_stats", [])}
        for moment in (before, after)
    ]
    return {
        str(size): count - counts[0].get(size, 0)
        for size, count in sorted(counts[1].items())
        if count > counts[0].get(size, 0)
    }


def _garbage(url: str, images: Sequence[bytes], expected: Sequence[Reading], clients: int) -> dict[str, int]:
    """Send garbage from one client at the same time as images from the others."""
    sent = [b"garbage", *images[: clients - 1]]
    with Client(url, MODEL) as client, ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(lambda image: next(iter(client.read_each([image]))), sent))
    same = sum(str(a) == str(b) for a, b in zip(results[1:], expected, strict=False))
    return {"errors": sum(isinstance(result, ImageError) for result in results), "others with the same text": same}


def _killed(server: Server, images: Sequence[bytes], expected: Sequence[Reading]) -> dict[str, Any]:
    """Kill the server in the middle of a job, and start it again after a second."""
    said: list[str] = []

    def replace_server() -> None:
        server.kill()
        time.sleep(1)
        server.start()

    started = time.perf_counter()
    with Client(server.url, MODEL, batch=1, timeout=120, say=said.append) as client:
        readings = []
        for number, reading in enumerate(client.read_each(images)):
            readings.append(reading)
            if number == 7:
                threading.Thread(target=replace_server).start()
    same = sum(str(a) == str(b) for a, b in zip(readings, expected, strict=True))
    lines = [line.replace(server.url, "http://server:8000") for line in said]
    return {"lines": lines, "images": len(images), "same text": same, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
