"""The program whose instructions `benchmarks.instructions` counts: one engine infers one image, between marks.

python -m benchmarks.counted MODULE:OPENER FILE IMAGE.npy CALLS
"""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

_MARK = -4242


def main(opener: str, path: str, image: str, calls: str) -> None:
    """Infer the image `calls` times, and count each call."""
    module, name = opener.split(":")
    infer = getattr(import_module(module), name)(Path(path), 1)
    batch = np.load(image)
    for _ in range(int(calls)):
        mark(os.SEEK_SET)
        infer(batch)
        mark(os.SEEK_CUR)


def mark(whence: int) -> None:
    """Make a failing system call that instructions.c recognises: SEEK_SET begins counting, SEEK_CUR ends it."""
    with contextlib.suppress(OSError):
        os.lseek(_MARK, 0, whence)


if __name__ == "__main__":
    main(*sys.argv[1:])
