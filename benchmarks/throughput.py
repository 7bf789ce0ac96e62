"""`python -m benchmarks.throughput`: many images, one engine per core against one engine with all threads.

Rounds are paired: in each, both settings read the same images one right after the other, so that whatever else the
machine does hits both. Reported are the medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge_crnn.artifact import load
from edge_crnn.backends import open_backend
from edge_crnn.dataset import find_images
from edge_crnn.images import load_image
from edge_crnn.preprocess import preprocess
from edge_crnn.reader import DEFAULT_MODEL, open_reader, usable_cores


def main() -> None:
    """Print the ratios, and write them as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--images", type=Path, default=Path("samples/plates"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    cores = usable_cores()
    record = {
        "cores": cores,
        "load": os.getloadavg()[0],
        "inference": _inference(arguments.model, arguments.images, arguments.rounds, cores),
        "read_folder": _read_folder(arguments.model, arguments.images, arguments.rounds, cores),
    }
    text = json.dumps(record, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def _inference(model: Path, folder: Path, rounds: int, cores: int) -> dict[str, float]:
    artifact = load(model)
    batches = [preprocess([load_image(path)], artifact.spec.input) for path in find_images(folder)[:200]]
    wide = open_backend(artifact, threads=cores)
    narrow = [open_backend(artifact) for _ in range(cores)]

    def side_by_side() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda core: [narrow[core].infer(each) for each in batches[core::cores]], range(cores)))

    return _paired(lambda: [wide.infer(each) for each in batches], side_by_side, len(batches), rounds)


def _read_folder(model: Path, folder: Path, rounds: int, cores: int) -> dict[str, float]:
    paths = find_images(folder)
    with open_reader(model, workers=1, threads=cores) as wide, open_reader(model, workers=cores) as narrow:
        if [each.text for each in wide.read_batch(paths)] != [each.text for each in narrow.read_batch(paths)]:
            sys.exit("the two settings read different texts")
        return _paired(lambda: wide.read_batch(paths), lambda: narrow.read_batch(paths), len(paths), rounds)


def _paired(first: Callable[[], object], second: Callable[[], object], images: int, rounds: int) -> dict[str, float]:
    first(), second()
    pairs = [(_seconds(first), _seconds(second)) for _ in range(rounds)]
    return {
        "one_engine_all_threads_per_s": images / statistics.median(one for one, _ in pairs),
        "one_engine_per_core_per_s": images / statistics.median(other for _, other in pairs),
        "ratio": statistics.median(one / other for one, other in pairs),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
