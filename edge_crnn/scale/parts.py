"""Files → numbered parts: the units of a job, which are read, written and done as a whole.

A part is a run of image files, a run of rows of a Parquet file, or a whole tar file. Its size follows from the number
of readers: with more parts, readers finish at about the same time; with fewer, less time is lost to writing them.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import ceil
from typing import Literal, TypeAlias

from . import parquet, tar
from .inputs import PARQUET, TAR
from .storage import File

Kind: TypeAlias = Literal["images", "parquet", "tar"]

_PER_READER = 16
"""Parts per reader. At the end, a reader waits for half a part on average, which is a thirtieth of its work."""
_FEWEST = 64
"""Least number of images of a part, because opening and writing a part takes as long as reading some images."""
_SERVED = 2
"""Number of readers that the driver of a cluster can give a part while a reader reads one image (1 to 2 ms per part).
A part lasts at least until all readers have one."""
_MOST = 4096
"""Images of a part, as far as its kind allows: a kill loses the parts in work."""
_SLICES = 16
"""Parts of a row group. More would cost too much time, because its beginning is decompressed again for each part."""
_LARGEST_SLICE = 16_384
"""Rows of a part of a row group that is so large that more than `_SLICES` parts are necessary."""
_SEED = 0


@dataclass(frozen=True)
class Part:
    """A part of a job. The position of an image is its place among all images of the part's files, from 0."""

    kind: Kind
    files: tuple[File, ...]
    """The image files, or the shard."""
    start: int = 0
    """First position in the shard."""
    stop: int | None = None
    """Position after the last one; None: all."""
    picked: tuple[int, ...] | None = None
    """The positions to read; None: all."""

    @property
    def images(self) -> int | None:
        """Number of images; None for a tar that nobody has counted."""
        if self.picked is not None:
            return len(self.picked)
        return None if self.stop is None else self.stop - self.start

    def dumps(self) -> str:
        """Return the part as a line of JSON."""
        files = [[file.path, file.size, file.version] for file in self.files]
        return json.dumps([self.kind, files, self.start, self.stop, self.picked], separators=(",", ":"))

    @classmethod
    def parse(cls, line: str | bytes) -> Part:
        """Return the part that `dumps` wrote."""
        kind, files, start, stop, picked = json.loads(line)
        return cls(kind, tuple(File(*file) for file in files), start, stop, None if picked is None else tuple(picked))


def split(
    files: Sequence[File], folder: str, column: str, sample: int | None = None, *, readers: int = 1
) -> Iterable[Part]:
    """Return the parts of a job, in the order of the files.

    Args:
        files: the files of the job.
        folder: the folder where relative paths begin.
        column: the column of Parquet files that has the images.
        readers: number of processes that will read the parts.
        sample: number of images to read, picked at random, the same in every run; None: all.

    Raises:
        DatasetError: a shard cannot be read.
        InputError: a Parquet file has no such column.
        BackendUnavailable: a file needs a package that is not installed.
    """
    parts = _all_parts(files, folder, column, readers)
    return parts if sample is None else _sampled(list(parts), folder, sample, readers)


def _all_parts(files: Sequence[File], folder: str, column: str, readers: int) -> Iterator[Part]:
    rows = {file.path: parquet.row_counts(file, folder, column) for file in files if _kind(file) == "parquet"}
    most = images_per_part(len(files) + sum(map(sum, rows.values())), readers)
    for kind, group in groupby(files, _kind):
        if kind == "images":
            yield from _parts_of_images(list(group), most)
        elif kind == "parquet":
            for file in group:
                for start, stop in _runs(rows[file.path], most):
                    yield Part("parquet", (file,), start, stop)
        else:
            yield from (Part("tar", (file,)) for file in group)


def images_per_part(images: int, readers: int) -> int:
    """Return the largest number of images in a part, for a job of `images` images with `readers` readers."""
    return min(max(_FEWEST, readers // _SERVED, ceil(images / (_PER_READER * readers))), _MOST)


def _parts_of_images(files: Sequence[File], most: int) -> Iterator[Part]:
    for start, stop in _balanced(len(files), ceil(len(files) / most)):
        yield Part("images", tuple(files[start:stop]), 0, stop - start)


def _balanced(count: int, runs: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of `runs` runs of `count` items; the lengths of any two differ by at most 1."""
    return pairwise(run * count // runs for run in range(runs + 1) if count)


def _kind(file: File) -> Kind:
    path = file.path.lower()
    if path.endswith(PARQUET):
        return "parquet"
    return "tar" if path.endswith(TAR) else "images"


def _runs(counts: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the row after the last one of every part of a Parquet file with these row groups."""
    start = stop = 0
    for count in counts:
        if stop > start and stop - start + count > most:
            yield start, stop
            start = stop
        if count > most:
            slices = max(min(ceil(count / most), _SLICES), ceil(count / _LARGEST_SLICE))
            yield from ((stop + first, stop + last) for first, last in _balanced(count, slices))
            start += count
        stop += count
    if stop > start:
        yield start, stop


def _sampled(parts: Sequence[Part], folder: str, sample: int, readers: int) -> list[Part]:
    """Return parts with the images of the sample only: image files first, then what is picked from shards."""
    images: list[File] = []
    picked: list[Part] = []
    counts = [_count(part, folder) for part in parts]
    total = sum(counts)
    chosen = sorted(random.Random(_SEED).sample(range(total), min(sample, total)))
    first = 0
    for part, count in zip(parts, counts, strict=True):
        here = chosen[bisect_left(chosen, first) : bisect_left(chosen, first + count)]
        if here and part.kind == "images":
            images += [part.files[position - first] for position in here]
        elif here:
            picked.append(replace(part, picked=tuple(part.start + position - first for position in here)))
        first += count
    return [*_parts_of_images(images, images_per_part(len(images), readers)), *picked]


def _count(part: Part, folder: str) -> int:
    """Return the number of images of a part; for a tar, its headers are read."""
    return tar.count(part.files[0], folder) if part.images is None else part.images
