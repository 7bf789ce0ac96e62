"""Asks a Triton server for readings, over HTTP with the standard library alone.

A weak board can send its crops to a server in this way; it needs neither an engine nor OpenCV. While the server is
away, the client waits, and says so once.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import numpy as np

from ...chunks import chunked
from ...errors import BackendError, ImageError, InputError, without_traceback
from ...images import Image, read_content
from ...progress import note
from ...reader.several import several
from ...reading import Reading
from .wire import LENGTH_HEADER, READING, Encoded, Pixels, readings_in, request_body

BATCH = 16
"""Usual number of images in a request."""
CONNECTIONS = 4
"""Requests under way, so that the server can read their images together."""
TIMEOUT_S = 60.0
"""Usual time without an answer after which the client gives up."""
_ANSWER_S = 30.0
"""Longest wait for one answer; then the server counts as away."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_REQUEST_BYTES = 32 << 20
"""Most bytes of images in a request of several; Triton's own default limit is 64 MiB."""
_AWAY = (502, 503, 504)
_LOADING = "no available versions"
"""Part of Triton's message about a model that is being loaded or replaced."""
_MODEL = re.compile(r"[A-Za-z0-9_.-]+")

_Content: TypeAlias = "Encoded | Pixels"
_Result: TypeAlias = "Reading | ImageError"


class Client:
    """Reads images on a server. Threads may share a client.

        with Client("http://server:8000", "plates") as client:
            for reading in client.read_batch(["front.jpg", "back.jpg"]):
                print(reading, reading.confidence)

    Args:
        url: the address of the server's HTTP service, such as http://server:8000.
        model: name of a model that `edge-crnn export` wrote.
        batch: most images in a request; fewer if the server takes fewer.
        timeout: seconds without an answer after which the client gives up.
        say: called with a line when the server goes away, and when it is back.

    Raises:
        InputError: the URL or the name of the model is not one.
    """

    def __init__(
        self,
        url: str,
        model: str = "plates",
        *,
        batch: int = BATCH,
        timeout: float = TIMEOUT_S,
        say: Callable[[str], None] = note,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # the port is no number, for example
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"found {url!r}, expected the URL of a server, such as http://server:8000")
        if not _MODEL.fullmatch(model):
            raise InputError(f"found the model {model!r}, expected a name on the server, such as plates; use --model")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._address = (parts.hostname, port)
        self._path = parts.path.rstrip("/")
        self._model = model
        self._timeout = timeout
        self._say = say
        self._pool = ThreadPoolExecutor(CONNECTIONS, "edge-crnn-client")
        self._idle: queue.SimpleQueue[http.client.HTTPConnection] = queue.SimpleQueue()
        self._busy: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._is_away = False
        self._batch = batch
        self._has_checked = False

    def facts(self) -> dict[str, str]:
        """Return what the server knows of the model: the version of edge-crnn, the hash of the artifact, and so on.

        Raises:
            BackendError: the server has no such model, or gives no answer in time.
        """
        parameters = self._config().get("parameters", {})
        return {str(key): str(value.get("string_value", "")) for key, value in parameters.items()}

    def read(self, image: Image) -> Reading:
        """Read one image; for the errors, see `read_batch`."""
        return self.read_batch([image])[0]

    def read_batch(self, images: Iterable[Image]) -> list[Reading]:
        """Read images, in their order.

        Raises:
            ImageError: an image cannot be read.
            InputTypeError: `images` is a single image, or not iterable.
            BackendError: see `read_each`.
        """
        readings = []
        for result in self.read_each(images):
            if isinstance(result, ImageError):
                raise result
            readings.append(result)
        return readings

    def read_each(self, images: Iterable[Image]) -> Iterator[Reading | ImageError]:
        """Read images, in their order. Images are taken some requests ahead of the results; for a camera, use `read`.

        Args:
            images: as for `Reader.read_each`. Image files are sent as they are, and decoded on the server.

        Yields:
            A reading, or the error of an image that cannot be read.

        Raises:
            InputTypeError: `images` is a single image, or not iterable.
            BackendError: the server has no such model, refuses the request, or gives no answer in time.
        """
        named = ((f"images[{index}]", image) for index, image in enumerate(several(images)))
        waiting: deque[Future[list[_Result]]] = deque()
        try:
            for chunk in chunked(named, self._most()):
                waiting.append(self._pool.submit(self._read_chunk, chunk))
                if len(waiting) == CONNECTIONS:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End requests that are under way, and close the connections."""
        self._closed.set()
        with self._lock:
            for connection in self._busy:
                if connection.sock is not None:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)  # its thread stops waiting for the answer
        self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _config(self) -> dict[str, Any]:
        """Return the configuration of the model."""
        _, answer = self._asked("GET", f"/v2/models/{self._model}/config")
        try:
            config = json.loads(answer)
            outputs = {output["name"] for output in config["output"]}
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(f"{self.url}: found no Triton server there ({error}); check the URL") from error
        if READING not in outputs:
            raise BackendError(
                f"{self.url}: the model {self._model!r} gives {', '.join(sorted(outputs))}, expected {READING}; name a"
                " model that edge-crnn export wrote, without _network"
            )
        return dict(config)

    def _most(self) -> int:
        """Return the largest number of images in a request."""
        if not self._has_checked:
            self._batch = min(self._batch, max(1, int(self._config().get("max_batch_size", 1))))
            self._has_checked = True
        return self._batch

    def _read_chunk(self, images: Sequence[tuple[str, Image]]) -> list[_Result]:
        results: list[_Result] = []
        waiting: list[tuple[str, _Content]] = []
        for name, image in images:
            try:
                content, name = _content(image, name)
            except ImageError as error:
                results += self._read_alike(waiting)
                results.append(without_traceback(error))
                waiting = []
                continue
            if waiting and not _fit_together([*(other for _, other in waiting), content]):
                results += self._read_alike(waiting)
                waiting = []
            waiting.append((name, content))
        return results + self._read_alike(waiting)

    def _read_alike(self, images: Sequence[tuple[str, _Content]]) -> list[_Result]:
        """Read images with one request."""
        if not images:
            return []
        body, length = request_body([content for _, content in images])  # type: ignore[arg-type]  # see _fit_together
        headers = {LENGTH_HEADER: str(length), "Content-Type": "application/octet-stream"}
        stated, answer = self._asked("POST", f"/v2/models/{self._model}/infer", body, headers)
        results = readings_in(answer, stated, len(images))
        return [_named(name, result) for (name, _), result in zip(images, results, strict=True)]

    def _asked(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int | None, bytes]:
        """Return the length of the JSON in an answer, and the answer; wait for a server that is away."""
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE_S
        while True:
            try:
                status, stated, answer = self._sent(method, path, body, headers or {}, deadline - time.monotonic())
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            else:
                if status < 300:
                    self._tell(is_away=False)
                    return stated, answer
                reason = _reason(answer) or f"HTTP status {status}"
                if status not in _AWAY and _LOADING not in reason:
                    raise BackendError(f"{self.url}: {self._refusal(reason)}")
            if self._closed.is_set():
                raise BackendError(f"{self.url}: the client was closed; open another")
            if time.monotonic() + pause > deadline:
                raise BackendError(
                    f"{self.url}: no answer for {self._timeout:g} s ({reason}); start the server, or check the URL"
                )
            self._tell(is_away=True, reason=reason)
            self._closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _sent(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> tuple[int, int | None, bytes]:
        """Send a request once; return the status, the length of the JSON if it is stated, and the answer."""
        while True:
            connection, is_new = self._connection(max(0.1, min(seconds, _ANSWER_S)))
            try:
                connection.request(method, self._path + path, body, headers)
                response = connection.getresponse()
                answer = response.read()
            except BaseException as error:
                connection.close()
                if not is_new and isinstance(error, ConnectionError | http.client.RemoteDisconnected):
                    continue  # the server has closed a connection that was idle
                raise
            finally:
                with self._lock:
                    self._busy.discard(connection)
            self._idle.put(connection)
            stated = response.headers.get(LENGTH_HEADER, "")
            return response.status, int(stated) if stated.isdecimal() else None, answer

    def _connection(self, seconds: float) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection that waits so long, and whether it is a new one."""
        try:
            connection = self._idle.get_nowait()
            is_new = False
        except queue.Empty:
            connection = self._kind(*self._address)
            is_new = True
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        with self._lock:
            self._busy.add(connection)
        return connection, is_new

    def _refusal(self, reason: str) -> str:
        """Return why the server refuses requests for the model, and what to do."""
        try:
            status, _, answer = self._sent("POST", "/v2/repository/index", b"", {}, _ANSWER_S)
            names = sorted({str(model["name"]) for model in json.loads(answer)}) if status < 300 else [self._model]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            names = [self._model]
        if self._model in names:
            return f"{reason}; see the server's log"
        return f"no model {self._model!r}, found {', '.join(names) or 'none'}; name one with --model"

    def _tell(self, *, is_away: bool, reason: str = "") -> None:
        with self._lock:
            if is_away == self._is_away:
                return
            self._is_away = is_away
        self._say(f"{self.url} is away ({reason}); waiting for it" if is_away else f"{self.url} is back")


def _content(image: Image, name: str) -> tuple[_Content, str]:
    """Return the bytes of an image file or pixels (H, W, C), and the name of the image."""
    content, name = read_content(image, name)
    if isinstance(content, np.ndarray) and content.ndim == 2:
        return content[..., None], name
    return content, name


def _fit_together(contents: Sequence[_Content]) -> bool:
    """Return whether images can be in one request: all of them files, or all of them pixels of one size."""
    kinds = {content.shape if isinstance(content, np.ndarray) else None for content in contents}
    sizes = (content.nbytes if isinstance(content, np.ndarray) else len(content) for content in contents)
    return len(kinds) == 1 and sum(sizes) <= _REQUEST_BYTES


def _named(name: str, result: _Result) -> _Result:
    """Return a result whose error has the name of the image, which the server does not know."""
    if isinstance(result, ImageError):
        return ImageError(f"{name}: {str(result).removeprefix('image: ')}")
    return result


def _reason(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
