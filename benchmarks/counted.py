"""What an emulated processor runs while `instructions` counts: one engine, one image, and marks around its inference.

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
    """Infer so many times over, each call counted."""
    module, name = opener.split(":")
    infer = getattr(import_module(module), name)(Path(path), 1)
    taken = np.load(image)
    for _ in range(int(calls)):
        mark(os.SEEK_SET)
        infer(taken)
        mark(os.SEEK_CUR)


def mark(whence: int) -> None:
    """A system call that fails and does nothing, but that instructions.c knows: SEEK_SET begins, SEEK_CUR tells."""
    with contextlib.suppress(OSError):
        os.lseek(_MARK, 0, whence)


if __name__ == "__main__":
    main(*sys.argv[1:])
