"""Runs a session in a process of its own, so that artifacts share neither threads nor memory and load from scratch."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..errors import BackendError, EdgeCrnnError
from ..records.bench import Opened, Round, Scenario
from .scenarios import play
from .session import Session

_FIRST_LOOK_S = 0.2
_LOOK_S = 1.0
"""Seconds from the start of a round to the first call of `meanwhile`, and between two calls after it."""
_PATIENCE_S = 10


class Worker:
    """A process that runs a `Session`, which describes the arguments and the errors.

    Raises:
        BackendError: the process died.
    """

    def __init__(
        self,
        path: Path,
        images: Sequence[Path],
        threads: int = 1,
        engine: str | None = None,
        *,
        control: bool = False,
    ) -> None:
        self._path = path
        context = multiprocessing.get_context("spawn")  # a fork would inherit what this process has loaded
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(child_pipe, path, tuple(images), threads, engine), daemon=True
        )
        self._process.start()
        child_pipe.close()
        try:
            opened = self._answer()
        except EdgeCrnnError:
            self.close()
            raise
        self.opened: Opened = replace(opened, control=control)

    @property
    def pid(self) -> int:
        """Identifier of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def play(self, scenario: Scenario, meanwhile: Callable[[], None]) -> Round:
        """Measure one round; `meanwhile` is called in this process at intervals until the round ends."""
        with contextlib.suppress(ConnectionError):  # `_answer` reports the broken connection
            self._pipe.send(scenario)
        patience = _FIRST_LOOK_S
        while not self._pipe.poll(patience):
            meanwhile()
            patience = _LOOK_S
        played: Round = self._answer()
        return played

    def close(self) -> None:
        """End the process."""
        self._pipe.close()  # the process ends when the pipe is closed
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(_PATIENCE_S)
            raise BackendError(
                f"{self._path}: the process that measures it ended with exit code {self._process.exitcode}; check that"
                " there is enough memory, and set EDGE_CRNN_VERBOSE=1 to see more"
            ) from error
        if isinstance(answer, EdgeCrnnError):
            raise answer
        return answer


def _serve(pipe: Connection, path: Path, images: Sequence[Path], threads: int, engine: str | None) -> None:
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt):
        try:
            session = Session(path, images, threads, engine)
            pipe.send(session.opened)
            while True:
                pipe.send(play(session, pipe.recv()))
        except EdgeCrnnError as error:
            pipe.send(error)
