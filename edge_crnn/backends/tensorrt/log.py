"""Collects the messages of TensorRT, which rarely raises and reports reasons to its logger instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_KEPT = 20


class Log:
    """Keeps errors, and writes all messages to a file if there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = None if path is None else path.open("w", encoding="utf-8")
        self._errors: list[str] = []

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, severity: str, message: str, is_error: bool) -> None:
        """Add a message."""
        if self._file is not None and not self._file.closed:
            self._file.write(f"{severity}: {message}\n")
        if is_error and len(self._errors) < _KEPT:
            self._errors.append(message)

    def forget(self) -> None:
        """Forget earlier errors, so that they do not explain later failures."""
        self._errors.clear()

    @property
    def first(self) -> str:
        """Return the first error, which is the cause of those that follow; empty if there is none."""
        return self._errors[0][:500] if self._errors else ""

    def reason(self, error: BaseException | None) -> str:
        """Return the reason of a failure, in TensorRT's words if it logged any."""
        return self.first or str(error or "no reason was given")[:500]


def make_logger(trt: Any, log: Log) -> Any:
    """Make a TensorRT logger. It must live as long as everything made with it."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.add(str(severity).rpartition(".")[2], message, severity in (self.ERROR, self.INTERNAL_ERROR))

    return Logger()
