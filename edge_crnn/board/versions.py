"""The versions of installed packages."""

from __future__ import annotations

from collections.abc import Iterable

from .. import __version__

_ENGINES = ("numpy", "opencv-python-headless", "opencv-python", "ai-edge-litert", "onnxruntime", "tensorrt", "pycuda")


def versions(packages: Iterable[str] = _ENGINES) -> dict[str, str]:
    """Return the versions of those packages that are installed, after the version of this edge-crnn."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely needed

    installed = {"edge-crnn": __version__}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
