"""The camera of a Raspberry Pi, through picamera2, which Raspberry Pi OS has as the package python3-picamera2."""

from __future__ import annotations

import importlib
import queue
from threading import Lock
from typing import Any

from ...errors import BackendUnavailable, SourceError
from ..frame import Pixels
from .video import READ_S, check_rate

_USUAL_RATE = 25.0

_cameras: dict[int, Any] = {}
"""Number → picamera2's object. It leaks when it is made anew, so every camera is opened once and kept."""
_lock = Lock()


class PicameraSource:
    """A camera on the ribbon cable of a Raspberry Pi.

    Args:
        number: its number, from 0.
        size: width and height of the frames.
        rate: frames per second that the camera takes; None: 25.

    Raises:
        InputError: `rate` is not positive.
    """

    is_live = True

    def __init__(self, number: int = 0, *, size: tuple[int, int] | None = None, rate: float | None = None) -> None:
        check_rate(rate)
        self.name = f"picamera://{number}"
        self._number = number
        self._size = size or (1280, 720)
        self._rate = rate or _USUAL_RATE
        self._camera: Any = None

    def __repr__(self) -> str:
        return f"PicameraSource({self._number})"

    def open(self) -> None:
        """Start the camera.

        Raises:
            SourceError: there is no such camera, or another program uses it.
            BackendUnavailable: picamera2 is not installed.
        """
        self.close()
        camera = self._kept()
        try:
            camera.configure(
                camera.create_video_configuration(
                    main={"size": self._size, "format": "RGB888"},  # in memory B, G, R
                    controls={"FrameRate": self._rate},
                )
            )
            camera.start()
        except (RuntimeError, ValueError, OSError) as error:
            raise self._unavailable(error) from error
        self._camera = camera

    def read(self) -> tuple[Pixels, float | None] | None:
        """Wait for the next frame.

        Raises:
            SourceError: the camera is not open, failed, or gave no frame in 5 s.
        """
        if self._camera is None:
            raise SourceError(f"{self.name}: is not open; call open() first")
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            self._camera.capture_array("main", wait=False, signal_function=done.put)
            pixels: Pixels = self._camera.wait(done.get(timeout=READ_S))
        except queue.Empty:
            raise SourceError(f"{self.name}: no frame for {READ_S:g} s; check the cable of the camera") from None
        except (RuntimeError, OSError) as error:
            raise self._unavailable(error) from error
        return pixels, None

    def close(self) -> None:
        """Stop the camera. picamera2's object is kept for the next `open`."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.stop()

    def _kept(self) -> Any:
        with _lock:
            if self._number not in _cameras:
                try:
                    picamera2 = importlib.import_module("picamera2")
                except ImportError as error:
                    raise BackendUnavailable(
                        f"{self.name}: needs picamera2 ({error}); run `sudo apt install python3-picamera2`, and create"
                        " the virtual environment with --system-site-packages"
                    ) from error
                try:
                    _cameras[self._number] = picamera2.Picamera2(self._number)
                except (RuntimeError, IndexError, OSError) as error:
                    raise self._unavailable(error) from error
            return _cameras[self._number]

    def _unavailable(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self.name}: not available ({error}); check the cable, `rpicam-hello --list-cameras`, and that no other"
            " program uses it"
        )
