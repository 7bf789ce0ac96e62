"""Serves the page from a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from ...errors import BackendUnavailable, OutputError
from .settings import Settings
from .state import State
from .token_file import read_token

if TYPE_CHECKING:
    import uvicorn

_GRACE_S = 2
_STOP_S = 5.0
_KEEP_ALIVE_S = 5
_LARGEST_HEAD = 16 << 10


class Page:
    """A page that is being served, until `close`. It is a context manager."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket, settings: Settings) -> None:
        self._server = server
        self._listener = listener
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"http://{host}:{settings.port}/"
        """Where the page is."""
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the page is being served."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the streams of all viewers and stop serving; takes at most 5 seconds. Does nothing if it is closed."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_S)
        self._listener.close()

    def __enter__(self) -> Page:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start to serve; requests are answered from now on."""
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))


def serve(state: State, settings: Settings | None = None) -> Page:
    """Serve the page in a thread of its own, and return when it answers at `Page.address`.

    Raises:
        BackendUnavailable: Starlette or Uvicorn is not installed.
        InputError: the file of the token is not private, or holds no token.
        OutputError: the address cannot be had, or the file of the token cannot be read or created.
    """
    settings = settings or Settings()
    _check_packages()
    import uvicorn

    from .app import build
    from .patient import PatientProtocol

    token = read_token(settings.token_file) if settings.token_file else None
    listener, settings = _bound(settings)
    server: uvicorn.Server
    app = build(state, settings, token, lambda: server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=PatientProtocol.within(settings.request_s),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # a warning for every bad request would let a visitor fill the disk with a log
            access_log=False,  # an address may hold the token
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.connections,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
    )
    page = Page(server, listener, settings)
    page.start()
    return page


def check(settings: Settings) -> None:
    """Check that the page can be served, without creating the file of the token; for errors, see `serve`."""
    _check_packages()
    if settings.token_file is not None and settings.token_file.exists():
        read_token(settings.token_file)
    listener, _ = _bound(settings)
    listener.close()


def _check_packages() -> None:
    try:
        import uvicorn  # noqa: F401

        from . import app, patient  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(f"the page needs {error.name}: pip install 'edge-crnn[watch]'") from error


def _bound(settings: Settings) -> tuple[socket.socket, Settings]:
    """Return a socket that listens, and the settings with its port.

    The socket listens before the thread starts, so connections wait for it rather than fail.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise OutputError(
            error.errno,
            f"cannot serve the page at {settings.host} port {settings.port} ({error.strerror}); choose another port",
        ) from error
    return listener, replace(settings, port=listener.getsockname()[1])
