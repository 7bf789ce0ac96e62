"""Finds the files of a folder of images, in any Unicode form of their names."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePosixPath

from ..errors import DatasetError
from ..folders import Walk, has_image_suffix, is_hidden
from ..images import SUFFIXES
from ..progress import note as to_stderr
from .tables import NAMES


def nfc(text: str) -> str:
    """Return the text in Unicode's form NFC: macOS stores names in NFD, tables are written in NFC."""
    return unicodedata.normalize("NFC", text)


def find_images(folder: Path, recursive: bool = False, note: Callable[[str], None] = to_stderr) -> list[Path]:
    """Return the image files in `folder`, without hidden ones, in the order of their paths in NFC.

    Args:
        folder: a folder of images.
        recursive: also read all subfolders.
        note: writes a line about skipped files and subfolders, if there are any.

    Raises:
        DatasetError: the folder does not exist, it or a subfolder cannot be read, or it has no image.
    """
    walk = Walk(folder, recursive, partial(_refuse, folder), _is_left_out)
    try:
        names = [name for name, _ in walk]
    except OSError as error:
        raise _unreadable(folder, error) from error
    if not names:
        files = walk.skipped.kinds.total()
        count = f"{files} file" if files == 1 else f"{files} files"
        advice = "add --recursive to read its subfolders" if walk.skipped.subfolders else "name another folder"
        raise DatasetError(f"{folder}: no image among {count}, expected {', '.join(sorted(SUFFIXES))}; {advice}")
    if text := str(walk.skipped):
        note(f"{folder}: {text}")
    return [folder / name for name in sorted(names, key=lambda name: (nfc(name).split("/"), name))]


def is_image(path: Path) -> bool:
    """Return whether a file has the name of an image and is not hidden."""
    return has_image_suffix(path.name) and not is_hidden(path.name)


def _is_left_out(name: str) -> bool:
    """Return whether a file is hidden or a table of labels, which is not reported as skipped."""
    return is_hidden(name) or any(fnmatch(name, table) for table in NAMES)


def _refuse(folder: Path, name: str, error: OSError) -> None:
    raise _unreadable(folder / name, error) from error


def _unreadable(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{folder}: cannot be read ({error.strerror}); name a folder of images")


class Places:
    """The files of a folder that a table may name; every subfolder is listed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listings = {folder: _by_name(_content(folder))}

    def find(self, name: str) -> Path | None:
        """Return the file with a path from the folder, with slashes or backslashes, or None if there is none.

        Raises:
            DatasetError: the name is outside the folder.
        """
        path = self._follow(PurePosixPath(name))
        if path is None and "\\" in name:
            path = self._follow(PurePosixPath(name.replace("\\", "/")))
        return path

    def images_beside(self, paths: set[Path]) -> list[Path]:
        """Return the other images in the folders of `paths`."""
        folders = sorted({path.parent for path in paths})
        listed = {path: None for folder in folders for path in self._listing(folder).values()}
        return [path for path in listed if path not in paths and is_image(path) and path.is_file()]

    def _follow(self, name: PurePosixPath) -> Path | None:
        if name.is_absolute() or ".." in name.parts:
            raise DatasetError(f"{str(name)!r} is outside the folder {self.folder}; write the path relative to it")
        place = self.folder
        for part in name.parts:
            listing = self._listing(place)
            path = listing.get(part) or listing.get(nfc(part))
            if path is None:
                return None
            place = path
        return place if place.is_file() else None

    def _listing(self, folder: Path) -> dict[str, Path]:
        if folder not in self._listings:
            self._listings[folder] = _by_name(_content(folder)) if folder.is_dir() else {}
        return self._listings[folder]


def _content(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from error


def _by_name(paths: list[Path]) -> dict[str, Path]:
    """Return name → path, for names in NFC and names as they are; the latter have precedence."""
    ordered = sorted(paths, key=lambda path: path.name)
    return {nfc(path.name): path for path in ordered} | {path.name: path for path in ordered}
