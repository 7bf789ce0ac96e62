"""The process that runs the HDF5 library: answers `client.Hdf5`, one file per fork, and may not open any file.

A request is a line of JSON with the method and its arguments; an answer is a line of JSON with the result or the error.
The request "open" is followed by the bytes of the file, the answer to "array" by those of its numbers.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from edge_crnn.errors import ModelFileError

from .client import FORKS, READY
from .tree import Tree

_SPARE_BYTES = 256 << 20
_BYTES_PER_BYTE = 6
"""Memory for the file, and for an array in its own type, as float32, and in transit."""
_CPU_S = 3
_BYTES_PER_CPU_S = 20 << 20
_WALL = 20
"""Wall time per processor time on a busy machine."""


def main() -> None:
    """Serve until the other end closes."""
    _try_everything()
    if not FORKS:
        serve(sys.stdin.buffer, sys.stdout.buffer)
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing waits for the forks
    control = socket.socket(fileno=0)
    control.sendall(READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            control.close()
            connection = socket.socket(fileno=descriptors[0])
            with contextlib.suppress(OSError), connection.makefile("rb") as reader, connection.makefile("wb") as writer:
                serve(reader, writer)
            os._exit(0)
        os.close(descriptors[0])


def serve(reader: IO[bytes], writer: IO[bytes]) -> None:
    """Answer requests about one file until there are no more; a crash of the library ends the process."""
    tree: Tree | None = None
    patience = 0.0
    while line := reader.readline():
        method, *arguments = json.loads(line)
        _alarm(patience)
        numbers: Any = b""
        answer: dict[str, object]
        try:
            if tree is None:
                (size,) = arguments
                patience = _WALL * _limit(size)
                _alarm(patience)
                tree = Tree(reader.read(size))
                answer = {"result": None}
            elif method == "array":
                path, shape = arguments
                numbers = tree.array(path, tuple(shape))
                answer = {"result": None}
            else:
                answer = {"result": getattr(tree, method)(*arguments)}
        except ModelFileError as error:
            answer = {"error": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.write(numbers)
        writer.flush()
        _alarm(0)  # the user may take all time between two requests
        if tree is None:
            return


def _limit(size: int) -> float:
    """Limit memory and processor time by the size of the file, and forbid opening files; return the time in seconds."""
    cpu = _CPU_S + size // _BYTES_PER_CPU_S
    with contextlib.suppress(ImportError):
        import resource

        limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: cpu, resource.RLIMIT_FSIZE: 0}
        with contextlib.suppress(OSError):  # only Linux tells, and only there the limit counts
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            limits[resource.RLIMIT_AS] = used + _SPARE_BYTES + _BYTES_PER_BYTE * size
        limits[resource.RLIMIT_NOFILE] = 0
        for limit, value in limits.items():
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(limit, (value, value))
    return cpu


def _alarm(seconds: float) -> None:
    """End the process after this many seconds; 0: never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _try_everything() -> None:
    """Use everything once, because Python loads some modules on first use and no file can be opened later."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["group/array"] = np.ones(2, ">f8")
        file.attrs.update({"text": "text", "texts": [b"a", b"b"], "number": 1.0})
    tree = Tree(buffer.getvalue())
    tree.names("group"), tree.arrays(""), tree.text("", "text"), tree.shape("group/array")
    tree.array("group/array", (2,))
    with contextlib.suppress(ModelFileError):
        tree.array("gone", ())
    with contextlib.suppress(ModelFileError):
        Tree(b"no HDF5")
