"""`python -m benchmarks.throughput`: compare one engine per core with one engine on all cores, for many images.

In each round both settings read the same images, one right after the other, so that other load affects both. The
result is the median of the rounds' ratios. `folder` reads files as `edge-crnn read DIR` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge_crnn.backends import open_backend
from edge_crnn.bench.contention import Contention
from edge_crnn.board.limits import usable_cores
from edge_crnn.dataset import find_images
from edge_crnn.images import load_image
from edge_crnn.model.artifact import load
from edge_crnn.preprocess import preprocess
from edge_crnn.reader import DEFAULT_MODEL, open_reader
from edge_crnn.records.throughput import Throughput

from .record import header, save, typed

Pairs = tuple[tuple[float, float], ...]
"""Images per second of one engine on all cores and of one engine per core, by round."""


def main() -> None:
    """Print the ratios, and with `-o` write all rounds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--images", type=Path, default=Path("samples/plates"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    cores = usable_cores()
    contention = Contention([os.getpid()])
    rounds = {
        "inference": _inference(arguments.model, arguments.images, arguments.rounds, cores),
        "folder": _folder(arguments.model, arguments.images, arguments.rounds, cores),
    }
    others = contention.cores()
    for name, pairs in rounds.items():
        wide, narrow = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        print(f"{name}: {wide:.0f}/s with one engine, {narrow:.0f}/s with one per core, {ratio(pairs):.2f} times")
    print(f"{cores} cores; other programs kept {others:.2f} busy")
    if arguments.output:
        ratios = {name: ratio(pairs) for name, pairs in rounds.items()}
        save(arguments.output, header(typed("throughput")), Throughput(others, ratios, rounds))


def ratio(pairs: Pairs) -> float:
    """Return how many times as fast one engine per core is, as the median over the rounds."""
    return statistics.median(narrow / wide for wide, narrow in pairs)


def _inference(model: Path, folder: Path, rounds: int, cores: int) -> Pairs:
    artifact = load(model)
    batches = [preprocess([load_image(path)], artifact.spec.input) for path in find_images(folder)[:200]]
    wide = open_backend(artifact, threads=cores)
    narrow = [open_backend(artifact) for _ in range(cores)]

    def side_by_side() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda core: [narrow[core].infer(batch) for batch in batches[core::cores]], range(cores)))

    return _paired(lambda: [wide.infer(batch) for batch in batches], side_by_side, len(batches), rounds)


def _folder(model: Path, folder: Path, rounds: int, cores: int) -> Pairs:
    paths = find_images(folder)
    with open_reader(model, workers=1, threads=cores) as wide, open_reader(model, workers=cores) as narrow:
        if [reading.text for reading in wide.read_batch(paths)] != [
            reading.text for reading in narrow.read_batch(paths)
        ]:
            sys.exit("the two settings read different texts")
        return _paired(lambda: wide.read_batch(paths), lambda: narrow.read_batch(paths), len(paths), rounds)


def _paired(first: Callable[[], object], second: Callable[[], object], images: int, rounds: int) -> Pairs:
    first(), second()
    return tuple((images / _seconds(first), images / _seconds(second)) for _ in range(rounds))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
