"""Rendered plates → Parquet files, in turns."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from edge_crnn.training.folder import JPEG_QUALITY, Drawing
from edge_crnn.training.fonts import pick_fonts

Format: TypeAlias = Literal["jpg", "png"]

ROW_GROUP = 500
FILES_PER_CORE = 2
"""Number of files per core in a turn."""
_WARM_UP = 64
"""Images of a file that is read before the measurement."""


def write(folder: Path, images: int, distinct: int, form: Format, turns: int, cores: int) -> list[list[Path]]:
    """Render `distinct` plates and repeat them, with a different name each time, until there are `images`.

    Args:
        folder: an empty folder for the files.
        images: number of images in all turns together, rounded up so that all files have the same number.
        distinct: number of images that are rendered.
        form: format of the images.
        turns: number of turns.
        cores: number of readers of every way.

    Returns:
        The files of each turn, those of a turn that warms up first. The columns are `name` and `image`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    pool = _rendered(distinct, form)
    rows = math.ceil(images / (turns * cores * FILES_PER_CORE))
    sizes = [[_WARM_UP] * cores, *[[rows] * (cores * FILES_PER_CORE)] * turns]
    written: list[list[Path]] = []
    position = 0
    for turn, counts in enumerate(sizes):
        paths = []
        for number, count in enumerate(counts):
            path = folder / f"{turn:02d}-{number:03d}.parquet"
            names = [f"{path}#{row}" for row in range(count)]
            contents = [pool[(position + row) % distinct] for row in range(count)]
            table = pa.table({"name": names, "image": pa.array(contents, pa.binary())})
            parquet.write_table(table, path, row_group_size=ROW_GROUP, compression="none")
            position += count
            paths.append(path)
        written.append(paths)
    return written


def count(path: Path) -> int:
    """Return the number of images in a file."""
    from pyarrow import parquet

    return int(parquet.read_metadata(path).num_rows)


def contents(path: Path, most: int) -> list[bytes]:
    """Return the first images of a file."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as table:
        batches = table.iter_batches(64, columns=["image"])
        return list(islice((value.as_py() for batch in batches for value in batch.column(0)), most))


def _rendered(count: int, form: Format) -> list[bytes]:
    import cv2

    drawing = Drawing("plates", 1, "mild", pick_fonts(None, False, "all"))
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if form == "jpg" else []
    return [cv2.imencode(f".{form}", plate.image, options)[1].tobytes() for plate in drawing.render(count)]
