"""Decodes streams and files with FFmpeg, through PyAV."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BackendUnavailable, InputError, SourceError
from ...progress import note as to_stderr
from ..frame import Pixels
from .pace import Backlog, KeyFrames, Pace

if TYPE_CHECKING:
    from av.container import InputContainer

MOST_PIXELS = 16_000_000
"""Largest frame by default, width times height: enough for 4K and for 12 megapixels, and 48 MB in BGR."""
CONNECT_S = 4.0
"""Longest time for connecting."""
READ_S = 5.0
"""Longest time without a frame."""
_USUAL_RATE = 25.0
"""Frames per second of a recording that does not tell."""
_RESTART_S = 1.0
"""Least step back of the time in a recording that is a new start."""
_LONGEST_DELAY = 32
"""Largest number of packets before a decoder returns a frame; H.264 allows 16."""


class VideoSource:
    """A source that FFmpeg decodes, with one thread. The base of the modules for cameras and files.

    Args:
        address: what FFmpeg opens.
        name: the address without passwords.
        is_live: whether it is a camera.
        options: FFmpeg's options for the format and the protocol.
        form: FFmpeg's name of the format; None: FFmpeg finds it out.
        rate: largest number of frames per second to deliver; None: all frames.
        most_pixels: largest width times height of a frame; a stream with larger ones is refused.
        timeout: longest seconds for connecting, and between two frames; None: no limit.
        may_skip: whether packets of a live stream are discarded when decoding has fallen behind.
        note: writes a line about damaged parts of a recording.

    Raises:
        InputError: `rate` or `most_pixels` is not positive.
    """

    def __init__(
        self,
        address: str,
        name: str,
        *,
        is_live: bool,
        options: Mapping[str, str],
        form: str | None = None,
        rate: float | None = None,
        most_pixels: int = MOST_PIXELS,
        timeout: tuple[float, float] | None = (CONNECT_S, READ_S),
        may_skip: bool = False,
        note: Callable[[str], None] = to_stderr,
    ) -> None:
        check_rate(rate)
        if most_pixels < 1:
            raise InputError(f"most_pixels: found {most_pixels}, expected at least 1")
        self.name = name
        self.is_live = is_live
        self._address = address
        self._options = {**options, "max_pixels": str(most_pixels)}
        self._form = form
        self._rate = rate
        self._most_pixels = most_pixels
        self._timeout = timeout
        self._may_skip = may_skip
        self._note = note
        self._container: InputContainer | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def open(self) -> None:
        """Connect, and read enough to know the codec.

        Raises:
            SourceError: it cannot be had now, has no video, or its frames are too large.
            BackendUnavailable: PyAV is not installed.
        """
        self.close()
        av = _av(self.name)
        started = time.monotonic()
        try:
            self._container = av.open(
                self._address,
                format=self._form,
                options=self._options,
                timeout=self._timeout,
                **_of_version(av),
            )
        except av.FFmpegError as error:
            raise self._failure(error, started, 0) from None  # the cause has the address, with its password
        try:
            if not self._container.streams.video:
                raise SourceError(f"{self.name}: has no video; name a stream or a file with video")
            self._start(self._container)
        except BaseException:
            self.close()
            raise

    def _start(self, container: InputContainer) -> None:
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec is None:
            raise SourceError(f"{self.name}: has video of an unknown kind; choose H.264, H.265 or MJPEG")
        self._check_size(codec.width, codec.height)
        codec.thread_count = 1
        codec.thread_type = "SLICE"  # threads that decode several frames at once would delay each
        codec.options = {"max_pixels": str(self._most_pixels), **({"flags": "low_delay"} if self.is_live else {})}
        self._stream = stream.index
        # Packets of all streams come, so that sound cannot hide that the video has stopped.
        self._packets: Iterator[Any] = container.demux()
        self._decoded: deque[Any] = deque()
        self._chosen: deque[int | None] = deque(maxlen=_LONGEST_DELAY)
        self._pace = Pace(self._rate)
        self._keys = KeyFrames(self._rate)
        self._backlog = Backlog()
        self._count = 0
        self._damaged = 0
        self._start_s: float | None = None
        self._seconds = 0.0
        self._period = 1 / float(stream.average_rate or _USUAL_RATE)
        self._is_over = False
        self._heard = self._alive = 0.0

    def read(self) -> tuple[Pixels, float | None] | None:
        """Wait for the next frame and convert it; see `protocols.Source.read`.

        Raises:
            SourceError: no frame came in time, the stream has ended or is broken, or a frame is too large.
        """
        if self._container is None:
            raise SourceError(f"{self.name}: is not open; call open() first")
        av = _av(self.name)
        started = self._heard = self._alive = time.monotonic()
        try:
            while True:
                while self._decoded:
                    frame = self._decoded.popleft()
                    seconds = self._time_of(frame)
                    if self._was_chosen(frame) or self._pace.is_due(seconds):
                        return self._pixels(frame), None if self.is_live else seconds
                if self._is_over:
                    self._end()
                    return None
                self._decode_next(av)
                self._check_time()
        except av.FFmpegError as error:
            raise self._failure(error, started, 1) from None

    def close(self) -> None:
        """Close it; it may be opened again."""
        container, self._container = self._container, None
        self._packets = iter(())
        self._decoded = deque()
        if container is not None:
            container.close()

    def _decode_next(self, av: ModuleType) -> None:
        """Read a packet and decode it, unless it is not wanted."""
        asked = time.monotonic()
        try:
            packet = next(self._packets, None)
        except IndexError:  # at the end, PyAV stumbles over a stream that has appeared since the start
            packet = None
        if packet is None:
            self._is_over = True
            return
        if packet.size:
            self._heard = asked  # not the present, as the last packet comes when FFmpeg has given up waiting
        if packet.stream.index != self._stream:  # `stream_index` is 0 in the empty packet of any stream
            return
        # An empty packet ends the stream: the decoder gives what it has kept.
        if packet.size and not self._is_wanted(packet):
            return
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            self._damaged += 1
            return
        if frames:
            self._alive = time.monotonic()
        self._decoded.extend(frames)

    def _is_wanted(self, packet: Any) -> bool:
        """Return whether to decode a packet. If key frames suffice, those that are due are chosen here."""
        time_in_stream = None if packet.pts is None else float(packet.pts * packet.time_base)
        now = time.monotonic()
        if self._may_skip and self._backlog.must_skip(now, time_in_stream, packet.is_keyframe):
            return False
        if self._rate is None or time_in_stream is None:
            return True
        moment = now if self.is_live else time_in_stream - (self._start_s or 0.0)
        if packet.is_keyframe:
            self._keys.see(moment)
        if not self._keys.suffice:
            return True
        self._alive = now
        if not packet.is_keyframe or not self._pace.is_due(moment):
            return False
        self._chosen.append(packet.pts)
        return True

    def _was_chosen(self, frame: Any) -> bool:
        """Return whether the packet of a frame was chosen. Some decoders return a frame several packets later."""
        if frame.pts not in self._chosen:
            return False
        self._chosen.remove(frame.pts)
        return True

    def _check_time(self) -> None:
        """Raise SourceError if no frames of a camera come, though packets may."""
        if not self.is_live or self._timeout is None:
            return
        now, limit = time.monotonic(), self._timeout[1]
        if now - self._alive > limit:
            if now - self._heard > limit / 2:
                raise self._silence(1)
            raise SourceError(
                f"{self.name}: no frame for {limit:g} s, though data come ({self._losses()}); check the settings of the"
                " camera"
            )

    def _time_of(self, frame: Any) -> float:
        """Return the arrival of a frame, or the time within the recording, which never decreases."""
        if self.is_live:
            return time.monotonic()
        self._count += 1
        if frame.time is None:
            self._seconds += self._period if self._count > 1 else 0.0
        else:
            if self._start_s is None:
                self._start_s = frame.time
            elif frame.time - self._start_s < self._seconds - _RESTART_S:  # recordings were joined
                self._start_s = frame.time - self._seconds - self._period
            self._seconds = max(self._seconds, frame.time - self._start_s)
        return self._seconds

    def _pixels(self, frame: Any) -> Pixels:
        self._check_size(frame.width, frame.height)
        pixels: Pixels = frame.to_ndarray(format="bgr24")
        turns = round(getattr(frame, "rotation", 0) / 90) % 4  # how a phone was held
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._most_pixels:
            raise SourceError(
                f"{self.name}: found frames of {width:,} x {height:,} pixels, expected at most {self._most_pixels:,}"
                " pixels; choose a smaller stream of the camera"
            )

    def _end(self) -> None:
        """Raise SourceError unless a recording has ended as it should."""
        if self.is_live:
            raise SourceError(f"{self.name}: the server has ended the stream; check the camera")
        if not self._count:
            raise SourceError(f"{self.name}: no frame can be decoded ({self._losses()}); check the file")
        if self._damaged:
            self._note(f"{self.name}: some frames are missing ({self._losses()}); copy the file again")
            self._damaged = 0

    def _losses(self) -> str:
        return f"packets that are damaged or have more than {self._most_pixels:,} pixels: {self._damaged:,}"

    def _silence(self, phase: int) -> SourceError:
        action = ("no connection within", "no data for")[phase]
        limit = (self._timeout or (CONNECT_S, READ_S))[phase]
        return SourceError(f"{self.name}: {action} {limit:g} s; check that the camera is on and in the network")

    def _failure(self, error: Exception, started: float, phase: int) -> SourceError:
        """Return what an error of FFmpeg means, without the address."""
        kind = type(error).__name__
        limit = None if self._timeout is None else self._timeout[phase]
        if limit is not None and (kind == "ExitError" or time.monotonic() - started >= limit):
            return self._silence(phase)
        reason = getattr(error, "strerror", None) or kind
        if not phase and kind == "InvalidDataError" and self.is_live:
            reason = "nothing answers with a video stream"
        elif kind == "ArgumentError":
            reason = f"frames are damaged or have more than {self._most_pixels:,} pixels"
        usual_advice = "check the camera" if self.is_live and phase else "check the address"
        return SourceError(f"{self.name}: cannot be read ({reason}); {_ADVICE.get(kind, usual_advice)}")


_ADVICE = {
    "HTTPUnauthorizedError": "check the user and the password",
    "HTTPForbiddenError": "check the user and the password",
    "HTTPNotFoundError": "check the path in the address",
    "ConnectionRefusedError": "check that the camera is on, and the port",
    "PermissionError": "allow this user to read it, for a camera by adding the user to the group video",
    "ArgumentError": "choose another stream of the camera",
}
"""Name of PyAV's error → what to do."""


def check_rate(rate: float | None) -> None:
    """Raise InputError unless the number of frames per second is positive, or None."""
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"rate: found {rate!r}, expected a positive number of frames per second")


def _of_version(av: Any) -> dict[str, str]:
    """Return the option by which broken text in a file is no error; PyAV 19 has it no longer."""
    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _av(name: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise BackendUnavailable(
            f"{name}: videos and network cameras are read with PyAV, which is not installed ({error});"
            " pip install 'edge-crnn[watch]'"
        ) from error
    return av
