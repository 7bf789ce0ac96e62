"""The address of a camera or a recording → its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ...errors import InputError
from ...progress import note as to_stderr
from ..protocols import Source
from .names import public_name

_PICAMERA = re.compile(r"picamera://(\d{0,2})")


def open_source(
    address: str,
    *,
    rate: float | None = None,
    size: tuple[int, int] | None = None,
    recorded_rate: float = 25.0,
    note: Callable[[str], None] = to_stderr,
) -> Source:
    """Return the source of an address. Nothing is opened yet; the thread that reads opens it.

    | address | source |
    |---|---|
    | `rtsp://…`, `rtsps://…` | a network camera |
    | `http://…`, `https://…` | a camera that streams MJPEG |
    | `picamera://0` | the camera of a Raspberry Pi |
    | `/dev/video0` | a USB camera |
    | a folder | the frames of a recording, in the order of their names |
    | any other path | a video file |

    Args:
        address: the address.
        rate: largest number of frames per second that is wanted; None: all.
        size: width and height to ask of a camera at `/dev` or `picamera://`; other sources have their own.
        recorded_rate: frames per second at which the images of a folder were taken.
        note: writes a line about parts of a recording that are skipped.

    Raises:
        InputError: the address is empty or of an unknown kind, or a rate is not positive.
    """
    from .file import FileSource
    from .folder import FolderSource
    from .http import HttpSource
    from .picamera import PicameraSource
    from .rtsp import RtspSource
    from .v4l2 import V4l2Source

    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in ("rtsp", "rtsps"):
        return RtspSource(address, rate=rate)
    if scheme in ("http", "https"):
        return HttpSource(address, rate=rate)
    if camera := _PICAMERA.fullmatch(address):
        return PicameraSource(int(camera[1] or 0), size=size, rate=rate)
    if scheme or not address:
        raise InputError(
            f"source: found {public_name(address)!r}, expected an address with rtsp://, http://, https:// or picamera://,"
            " a device such as /dev/video0, a video file, or a folder of images"
        )
    if address.startswith("/dev/"):
        return V4l2Source(address, size=size, rate=rate)
    if Path(address).is_dir():
        return FolderSource(address, recorded_rate=recorded_rate, rate=rate, note=note)
    return FileSource(address, rate=rate, note=note)
