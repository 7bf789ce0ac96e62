"""Walks through a folder of images, optionally with subfolders, and counts the files that it skips."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .files import is_temporary
from .images import SUFFIXES

_KINDS_SHOWN = 6
_MOST_KINDS = 64
"""Largest number of kinds that are counted apart, which limits memory for files such as `log.1790000000`."""
_LONGEST_KIND = 8
_OTHERS = "without a usual suffix"
_NO_FILE = "devices or links to nothing"


def is_hidden(name: str) -> bool:
    """Return whether a name begins with a dot."""
    return name.startswith(".")


def has_image_suffix(name: str) -> bool:
    """Return whether a name has the suffix of an image, in upper or lower case."""
    return _suffix(name) in SUFFIXES


def _suffix(name: str) -> str:
    """Return the suffix of a name in lower case, with its dot; an empty string if it has none."""
    stem, _, suffix = name.rpartition(".")  # much faster than pathlib, and a folder may have a million names
    return f".{suffix.lower()}" if stem and suffix else ""


@dataclass
class Skipped:
    """The files and subfolders that a walk skipped. `str` gives a part of a message, or an empty string."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Kind of file, such as `.txt` → number of files."""
    subfolders: int = 0

    def add(self, name: str) -> None:
        """Count a file."""
        kind = _suffix(name)
        is_usual = kind[1:].isalnum() and not kind[1:].isdecimal() and len(kind) <= _LONGEST_KIND
        if not is_usual or (kind not in self.kinds and len(self.kinds) >= _MOST_KINDS):
            kind = _OTHERS
        self.kinds[kind] += 1

    def __str__(self) -> str:
        shown = self.kinds.most_common(_KINDS_SHOWN)
        parts = [f"{count:,} {kind}" for kind, count in shown]
        if rest := self.kinds.total() - sum(count for _, count in shown):
            parts.append(f"{rest:,} more")
        sentences = []
        if parts:
            sentences.append(f"skipped files that are not images: {', '.join(parts)}")
        if self.subfolders:
            noun = "subfolder" if self.subfolders == 1 else "subfolders"
            sentences.append(f"skipped {self.subfolders:,} {noun}, which --recursive reads")
        return "; ".join(sentences)


class Walk:
    """The image files in `folder`, in any order.

    Every iteration walks again. A link to a folder is followed unless the walk has been there, so a loop of links ends,
    and every image comes once.

    Args:
        folder: the start of the walk.
        recursive: also walk through subfolders.
        on_error: called with the path from `folder` and the error of a file or subfolder that cannot be examined. A
            file that has gone in the meantime is not an error.
        is_hidden: returns, from the name, whether a file or folder is left out and not counted.
    """

    def __init__(
        self,
        folder: Path,
        recursive: bool,
        on_error: Callable[[str, OSError], None],
        is_hidden: Callable[[str], bool] = is_hidden,
    ) -> None:
        self._folder = folder
        self._recursive = recursive
        self._on_error = on_error
        self._is_hidden = is_hidden
        self.skipped = Skipped()
        """The files and subfolders that the last walk skipped."""

    def __iter__(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield the path of an image from the folder, with slashes, and its entry.

        Raises:
            OSError: the folder itself cannot be listed.
        """
        self.skipped = Skipped()
        folders = [("", False)]
        links: list[str] = []
        visited: set[tuple[int, int]] = set()
        while folders or links:
            # Links come last and in order, so an image that two paths lead to always has the same name.
            path, through_link = folders.pop() if folders else (heapq.heappop(links), True)
            try:
                status = (self._folder / path).stat()
                identity = (status.st_dev, status.st_ino)
                if through_link and identity in visited:
                    continue
                visited.add(identity)
                with os.scandir(self._folder / path) as entries:
                    for entry in entries:
                        if self._is_hidden(entry.name):
                            continue
                        name = f"{path}/{entry.name}" if path else entry.name
                        kind = self._kind(name, entry)
                        if kind == "image":
                            yield name, entry
                        elif kind == "link":
                            heapq.heappush(links, name)
                        elif kind == "folder":
                            folders.append((name, through_link))
            except FileNotFoundError:
                if not path:
                    raise
            except OSError as error:
                if not path:
                    raise
                self._on_error(path, error)

    def _kind(self, name: str, entry: os.DirEntry[str]) -> str | None:
        """Return `image`, `folder` or `link` (to a folder) for entries to read; count all others and return None."""
        try:
            if entry.is_dir():
                if self._recursive:
                    return "link" if entry.is_symlink() else "folder"
                self.skipped.subfolders += 1
            elif not has_image_suffix(entry.name):
                self.skipped.add(entry.name)
            elif entry.is_file():
                return "image"
            else:
                self.skipped.kinds[_NO_FILE] += 1
        except OSError as error:
            if is_temporary(error):
                self._on_error(name, error)
            else:  # a link to itself, for example
                self.skipped.kinds[_NO_FILE] += 1
        return None
