"""HDF5 files from strangers, read in a process of its own: what a forged file does to the HDF5 library ends there.

The library trusts what it reads: forged, it crashes, loops for ever, or reserves whatever a file asks for. So a process
with little memory and time, and without the right to open any file, has the library (`process`; `tree` tells what is
refused) and hands back JSON and plain float32 numbers. Where the system can fork, one process that has loaded the
library is kept, and a fork of it reads each file, a few milliseconds away.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import threading
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from edge_crnn.errors import BackendUnavailable, ModelFileError

MAX_BYTES = 2 << 30
"""Of a file, and of all arrays read from it."""
MAX_TEXT_BYTES = 16 << 20
"""Of all text attributes read from a file."""
FORKS = hasattr(os, "fork") and hasattr(socket, "send_fds")
"""Whether the system has what a process that forks needs; where not, each file gets a process from scratch."""
READY = b"ready\n"
"""What a process that forks says when it has loaded the library."""
_MAX_ANSWER_BYTES = 6 * MAX_TEXT_BYTES + 1024
"""JSON writes a character in six bytes at most."""
_ANSWER_S = 600.0
"""By then the process has ended by itself."""
_START = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {__package__}.process import main; main()"


class Hdf5:
    """One open HDF5 file; a path is `a/b/c` from the root. All methods raise ModelFileError on what they refuse."""

    def __init__(self, data: bytes) -> None:
        self._array_bytes = 0
        self._session = contextlib.ExitStack()
        self._reader, self._writer = _connected(self._session)
        try:
            self._ask("open", len(data), sent=data)
        except ModelFileError:
            self.close()
            raise

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; a second call does nothing."""
        with contextlib.suppress(OSError):  # a request that it died before reading is still to be sent
            self._session.close()

    def names(self, path: str) -> tuple[str, ...]:
        """Names in the group at `path`; empty where there is no such group."""
        return tuple(map(str, self._ask("names", path)))

    def arrays(self, path: str) -> tuple[str, ...]:
        """Paths of all arrays below `path`, a few groups down at most."""
        return tuple(map(str, self._ask("arrays", path)))

    def text(self, path: str, attribute: str) -> str | None:
        """A text attribute, or None where there is none."""
        found = self._ask("text", path, attribute)
        return None if found is None else str(found)

    def shape(self, path: str) -> tuple[int, ...] | None:
        """The declared shape of the array at `path`, or None where there is none."""
        found = self._ask("shape", path)
        return None if found is None else tuple(map(int, found))

    def array(self, path: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """The array at `path`, which must have this shape and finite values."""
        size = 4 * math.prod(shape)
        self._array_bytes += size
        if self._array_bytes > MAX_BYTES:
            raise ModelFileError(f"weights of more than {MAX_BYTES:,} bytes, at {path!r}")
        self._ask("array", path, shape)
        data = self._reader.read(size)
        if len(data) != size:
            raise self._ended()
        values = np.frombuffer(data, np.float32).reshape(shape)
        if not np.isfinite(values).all():
            raise ModelFileError(f"array {path!r} has {np.sum(~np.isfinite(values)):,} values that are not finite")
        return values

    def _ask(self, method: str, *arguments: object, sent: bytes = b"") -> Any:
        try:
            self._writer.write(json.dumps([method, *arguments]).encode() + b"\n")
            self._writer.write(sent)
            self._writer.flush()
            answer = json.loads(self._reader.readline(_MAX_ANSWER_BYTES))
        except (OSError, ValueError) as error:
            raise self._ended() from error
        if "error" in answer:
            raise ModelFileError(str(answer["error"]))
        return answer["result"]

    def _ended(self) -> ModelFileError:
        return ModelFileError(
            "the HDF5 library failed on it, or took too much memory or time; the file is damaged, or made to harm: copy"
            " or save it again"
        )


def _connected(session: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """From and to a process of its own for one file, which ends with the session."""
    if importlib.util.find_spec("h5py") is None:
        raise BackendUnavailable("reading a trained model needs h5py: pip install 'edge-crnn[convert]'")
    try:
        if not FORKS:
            process = session.enter_context(_started(subprocess.PIPE, subprocess.PIPE))
            return cast(IO[bytes], process.stdout), cast(IO[bytes], process.stdin)
        ours, theirs = socket.socketpair()
        with theirs:
            session.enter_context(ours)
            _server.fork(theirs)
        ours.settimeout(_ANSWER_S)
        return session.enter_context(ours.makefile("rb")), session.enter_context(ours.makefile("wb"))
    except OSError as error:
        session.close()
        raise BackendUnavailable(
            f"cannot start a process that reads HDF5 ({error.strerror or error}); if h5py is broken, pip install"
            " --force-reinstall h5py"
        ) from error


def _started(stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """A process that has loaded the library; isolated, but for the places where this one finds its modules."""
    places = json.dumps([each for each in sys.path if isinstance(each, str)])
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _START, places],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads do not live through a fork
        start_new_session=True,
    )


class _Server:
    """The process that forks; started when first needed, and anew when it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def fork(self, theirs: socket.socket) -> None:
        """Have a fork serve the other end of a socket."""
        with self._lock:
            if self._control is not None:
                try:
                    socket.send_fds(self._control, [b"\n"], [theirs.fileno()])
                    return
                except OSError:  # it was killed
                    self.stop()
            self._start()
            assert self._control is not None
            socket.send_fds(self._control, [b"\n"], [theirs.fileno()])

    def stop(self) -> None:
        """End it; forks that serve go on."""
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._control = self._process = None

    def _start(self) -> None:
        control, theirs = socket.socketpair()
        control.settimeout(_ANSWER_S)
        with theirs:
            self._process = _started(theirs.fileno(), subprocess.DEVNULL)
        self._control, self._owner = control, os.getpid()
        if control.recv(len(READY)) != READY:
            self.stop()
            raise OSError("it ended at once")


_server = _Server()
atexit.register(_server.stop)
