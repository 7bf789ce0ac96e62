"""Reports the files of a watched folder that are not read, once, however often the folder is polled."""

from __future__ import annotations

from collections.abc import Callable

from .arrivals import Arrivals


class Reports:
    """The messages about files that are skipped or not available.

    Args:
        arrivals: the watched folder.
        say: writes a message.
    """

    def __init__(self, arrivals: Arrivals, say: Callable[[str], None]) -> None:
        self._arrivals = arrivals
        self._say = say
        self._unavailable: set[str] = set()
        self._skipped: set[str] = set()

    def tell(self) -> None:
        """Report files that are new since the last call."""
        self._tell_unavailable()
        self._tell_skipped()

    def _tell_unavailable(self) -> None:
        unavailable = self._arrivals.unavailable
        names = [name for name in unavailable if name not in self._unavailable]
        self._unavailable = set(unavailable)
        if names:
            count = len(names) - 1
            noun = "other" if count == 1 else "others"
            others = f" (and {count:,} {noun})" if count else ""
            path = self._arrivals.folder / names[0]
            self._say(f"{path}{others}: cannot be read yet ({unavailable[names[0]]}); waiting for it")

    def _tell_skipped(self) -> None:
        skipped = self._arrivals.skipped
        kinds = {*skipped.kinds, *(["subfolders"] if skipped.subfolders else [])}
        if kinds - self._skipped:
            self._skipped |= kinds
            self._say(f"{self._arrivals.folder}: {skipped}")
