"""OpenCV, which finding and JPEG files need."""

from __future__ import annotations

from types import ModuleType

from ..errors import BackendUnavailable


def opencv() -> ModuleType:
    """Import OpenCV.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise BackendUnavailable(
            f"watching a camera needs OpenCV, which is not installed ({error}); pip install 'edge-crnn[opencv]'"
        ) from error
    return cv2
