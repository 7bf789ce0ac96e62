"""The threads of libraries that do not know the limits of a container."""

from __future__ import annotations

from pathlib import Path

from . import tree
from .limits import usable_cores


def limit_opencv(root: Path = tree.ROOT) -> None:
    """Limit OpenCV, if it is installed, to the cores that this process may use.

    It goes by the affinity, and would start a thread for every core at the first image of some 0.3 megapixels. This
    is for programs: a library must leave the setting to its user.

    Args:
        root: folder that has the kernel's `proc` and `sys`.
    """
    try:
        import cv2
    except ImportError:
        return
    cores = usable_cores(root)
    if cv2.getNumThreads() > cores:
        cv2.setNumThreads(cores)
