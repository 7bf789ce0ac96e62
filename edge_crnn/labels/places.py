"""The files of a folder of images, whatever form of Unicode their names are in."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

from ..errors import DatasetError
from ..images import SUFFIXES


def nfc(text: str) -> str:
    """The text in Unicode's form NFC: macOS stores names in NFD, tables are written in NFC."""
    return unicodedata.normalize("NFC", text)


def find_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, hidden ones left out, in the order of their names in NFC.

    Raises:
        DatasetError: there is no such folder, it cannot be read, or holds no image.
    """
    files = [each for each in _content(folder) if each.is_file()]
    images = [each for each in files if is_image(each)]
    if not images:
        raise DatasetError(
            f"{folder}: no image among {len(files)} files, expected {', '.join(sorted(SUFFIXES))}; name another folder"
        )
    return sorted(images, key=lambda path: (nfc(path.name), path.name))


def is_image(path: Path) -> bool:
    """Whether a file has the name of an image, and is not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


class Places:
    """Finds the files that a table names; each folder is listed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listings = {folder: _by_name(_content(folder))}

    def find(self, name: str) -> Path | None:
        """The file with a path from the folder, separated by slashes or backslashes; None: there is none.

        Raises:
            DatasetError: the name leads out of the folder.
        """
        found = self._follow(PurePosixPath(name))
        return self._follow(PurePosixPath(name.replace("\\", "/"))) if found is None and "\\" in name else found

    def images_beside(self, paths: set[Path]) -> list[Path]:
        """The other images in the folders of files that were found."""
        folders = sorted({path.parent for path in paths})
        listed = {path: None for folder in folders for path in self._listing(folder).values()}
        return [path for path in listed if path not in paths and is_image(path) and path.is_file()]

    def _follow(self, name: PurePosixPath) -> Path | None:
        if name.is_absolute() or ".." in name.parts:
            raise DatasetError(f"{str(name)!r} leads out of the folder {self.folder}; write the path from there")
        place = self.folder
        for part in name.parts:
            listing = self._listing(place)
            found = listing.get(part) or listing.get(nfc(part))
            if found is None:
                return None
            place = found
        return place if place.is_file() else None

    def _listing(self, folder: Path) -> dict[str, Path]:
        if folder not in self._listings:
            self._listings[folder] = _by_name(_content(folder)) if folder.is_dir() else {}
        return self._listings[folder]


def _content(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror}); name a folder of images") from error


def _by_name(paths: list[Path]) -> dict[str, Path]:
    """By their names in NFC, and by their names as they are, which come first."""
    ordered = sorted(paths, key=lambda path: path.name)
    return {nfc(path.name): path for path in ordered} | {path.name: path for path in ordered}
