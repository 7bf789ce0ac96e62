"""`python -m benchmarks.cluster`: a simulation of `read-all` on many machines. Nothing here ran on a cluster.

Every core of every node has a reader, as the actors of `read-all --address` do. A reader asks the driver for a part,
fetches its bytes from a storage that all readers share, reads its images one after the other, and asks again. The
driver answers one request at a time, and the storage serves the parts in the order in which they are asked for. A job
ends with its last part.

Measured: the processor time per image, and the bytes per image (`triton/measured.json`). The rule that cuts a job into
parts is the product's own; the row groups of the inputs are as small as it likes. Assumed: all else in `Cluster`. Not
modelled: listing the inputs, failures, and the bytes of the shards, which are a tenth of the inputs.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, replace

from edge_crnn.scale.parts import images_per_part

from .triton.sizing import load

NODES = (1, 16, 64, 256)
_PER_READER = (1, 4, 16)
"""Parts per reader that are tried in place of the product's: many make the end short, few spare the driver."""
JOBS = (10**6, 10**7, 10**8, 10**9)


@dataclass(frozen=True)
class Cluster:
    """The machines and what their work takes."""

    nodes: int
    image_s: float
    """Time to read an image, in seconds."""
    image_bytes: float
    cores: int = 16
    """Readers of a node."""
    start_s: float = 5.0
    """Time until a reader is open, in seconds, at most; each takes another share of it."""
    driver_s: float = 0.002
    """Time of the driver per part, in seconds."""
    part_s: float = 0.1
    """Time in which a reader opens and writes the files of a part, in seconds: some requests to the storage."""
    storage_bytes_s: float = 1.25e9
    """Bytes a second that the storage gives to all nodes together: 10 Gbit/s."""
    spread: float = 0.1
    """Standard deviation of the time of a part, as a share of it: cores are not all as fast."""


@dataclass(frozen=True)
class Job:
    """An archive, cut into parts."""

    images: int
    part: int
    """Images of a part; the last one may have fewer."""


def job(images: int, cluster: Cluster) -> Job:
    """Return a job as `read-all` cuts it for a cluster."""
    return Job(images, images_per_part(images, cluster.nodes * cluster.cores))


def duration_s(cluster: Cluster, work: Job, seed: int = 0) -> float:
    """Return the time until the last part is read, in seconds."""
    chance = random.Random(seed)
    readers = [chance.random() * cluster.start_s for _ in range(cluster.nodes * cluster.cores)]
    heapq.heapify(readers)
    driver = storage = end = 0.0
    for first in range(0, work.images, work.part):
        count = min(work.part, work.images - first)
        driver = max(driver, readers[0]) + cluster.driver_s
        storage = max(storage, driver) + count * cluster.image_bytes / cluster.storage_bytes_s
        free = storage + cluster.part_s + count * cluster.image_s * max(0.1, chance.gauss(1, cluster.spread))
        heapq.heapreplace(readers, free)
        end = max(end, free)
    return end


def efficiency(cluster: Cluster, work: Job) -> float:
    """Return the time of the images on all cores, without anything else, as a share of the time of the job."""
    return work.images * cluster.image_s / (cluster.nodes * cluster.cores) / duration_s(cluster, work)


def limit(cluster: Cluster, work: Job) -> str:
    """Return what costs most of the efficiency: the thing without which the job would end soonest."""
    readers = cluster.nodes * cluster.cores
    finer = [replace(work, part=min(work.part, math.ceil(work.images / (parts * readers)))) for parts in _PER_READER]
    without = {
        "too few parts": min(duration_s(cluster, other) for other in finer),
        "writing the parts": duration_s(replace(cluster, part_s=0), work),
        "driver": duration_s(replace(cluster, driver_s=0), work),
        "storage": duration_s(replace(cluster, storage_bytes_s=math.inf), work),
        "start of the readers": duration_s(replace(cluster, start_s=0), work),
    }
    return min(without, key=lambda name: without[name])


def table() -> list[str]:
    """Return the results in Markdown; `limit` is left out where the efficiency is at least 95 %."""
    measured = load()
    lines = ["| crops | parts | nodes | time | efficiency | limit |", "|---:|---:|---:|---:|---:|---|"]
    for images in JOBS:
        for nodes in NODES:
            cluster = Cluster(nodes, measured.reader_s, measured.crop_bytes)
            work = job(images, cluster)
            share = efficiency(cluster, work)
            cause = limit(cluster, work) if share < 0.95 else ""
            parts = math.ceil(images / work.part)
            lines.append(
                f"| {images:,} | {parts:,} | {nodes} | {_time(duration_s(cluster, work))} | {share:.0%} | {cause} |"
            )
    return lines


def _time(seconds: float) -> str:
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def main() -> None:
    """Print the table."""
    print("\n".join(table()))


if __name__ == "__main__":
    main()
