"""What TensorRT says meanwhile: it hardly ever raises, and tells the reason to its logger instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_KEPT = 20


class Log:
    """Keeps the errors, and writes everything into a file if there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = None if path is None else path.open("w", encoding="utf-8")
        self._errors: list[str] = []

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, severity: str, message: str, is_error: bool) -> None:
        """One message."""
        if self._file is not None and not self._file.closed:
            self._file.write(f"{severity}: {message}\n")
        if is_error and len(self._errors) < _KEPT:
            self._errors.append(message)

    def forget(self) -> None:
        """Errors so far are no reason for what fails from now on."""
        self._errors.clear()

    @property
    def first(self) -> str:
        """The first error, or nothing: it is the cause, and those that follow its consequence."""
        return self._errors[0][:500] if self._errors else ""

    def reason(self, error: BaseException | None) -> str:
        """Why something failed, in TensorRT's own words where it said any."""
        return self.first or str(error or "no reason was given")[:500]


def make_logger(trt: Any, log: Log) -> Any:
    """TensorRT's view of a log. It must live as long as what was made with it."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.add(str(severity).rpartition(".")[2], message, severity in (self.ERROR, self.INTERNAL_ERROR))

    return Logger()
