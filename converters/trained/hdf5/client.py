"""Reads untrusted HDF5 files in a process of its own, so that a forged file harms only that process.

The HDF5 library trusts what it reads: a forged file makes it crash, loop for ever, or reserve any amount of memory. So
the library runs in a process with little memory and time that may not open any file (`process`; `tree` defines what is
rejected), and returns JSON and plain float32 numbers. Where the system can fork, one process with the library loaded is
kept, and a fork of it reads each file within a few milliseconds.
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
"""Largest size of a file, and of all arrays read from it."""
MAX_TEXT_BYTES = 16 << 20
"""Largest size of all text attributes read from a file."""
FORKS = hasattr(os, "fork") and hasattr(socket, "send_fds")
"""Whether a server process can fork here; otherwise a new process is started for every file."""
READY = b"ready\n"
"""What the server process writes when it has loaded the library."""
_MAX_ANSWER_BYTES = 6 * MAX_TEXT_BYTES + 1024
"""JSON takes at most six bytes per character."""
_ANSWER_S = 600.0
"""By this time the process has ended by itself."""
_START = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {__package__}.process import main; main()"


class Hdf5:
    """An open HDF5 file; a path is `a/b/c` from the root. All methods raise ModelFileError on what they refuse."""

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
        """List the names in the group at `path`; empty if there is no such group."""
        return tuple(map(str, self._ask("names", path)))

    def arrays(self, path: str) -> tuple[str, ...]:
        """List the paths of all arrays below `path`, at most a few groups down."""
        return tuple(map(str, self._ask("arrays", path)))

    def text(self, path: str, attribute: str) -> str | None:
        """Read a text attribute; None if there is none."""
        answer = self._ask("text", path, attribute)
        return None if answer is None else str(answer)

    def shape(self, path: str) -> tuple[int, ...] | None:
        """Read the declared shape of the array at `path`; None if there is none."""
        answer = self._ask("shape", path)
        return None if answer is None else tuple(map(int, answer))

    def array(self, path: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Read the array at `path`, which must have this shape and finite values."""
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


def require_library() -> None:
    """Check that the HDF5 library is installed.

    Raises:
        BackendUnavailable: it is not.
    """
    if importlib.util.find_spec("h5py") is None:
        raise BackendUnavailable("reading a trained model needs h5py: pip install 'edge-crnn[convert]'")


def _connected(session: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """Start a process that reads one file and ends with the session; return the streams to and from it."""
    require_library()
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
    """Start a process that loads the library, isolated except for the paths where this process finds its modules."""
    places = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _START, places],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads do not live through a fork
        start_new_session=True,
    )


class _Server:
    """The server process; started when first needed, and again when it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def fork(self, theirs: socket.socket) -> None:
        """Make a fork serve the other end of a socket."""
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
        """End the server process; its forks go on."""
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
        self._control = control
        self._owner = os.getpid()
        if control.recv(len(READY)) != READY:
            self.stop()
            raise OSError("it ended at once")


_server = _Server()
atexit.register(_server.stop)
