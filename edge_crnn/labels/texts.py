"""Finds the images of a folder and their texts, for any alphabet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import DatasetError, InputError
from ..images import SUFFIXES
from ..progress import note as to_stderr
from .names import NamePattern
from .places import Places, find_images, is_image, nfc
from .rules import DEFAULT_RULES, LabelRules
from .tables import Table, choose_table, find_tables, read_table


def load_texts(
    folder: Path, rules: LabelRules = DEFAULT_RULES, note: Callable[[str], None] = to_stderr
) -> list[tuple[Path, str]]:
    """Return the labelled images of a folder and their texts, in NFC and with their case folded, for any alphabet.

    The images are those that the table names, in its order; without a table, those directly in the folder, or with
    `rules.recursive` also those in its subfolders.

    Args:
        folder: a folder of images; the paths in a table are relative to it.
        rules: rules for finding the labels.
        note: writes a line about images or rows that were left out.

    Raises:
        DatasetError: there are no images or no labels, a table cannot be read or names an image that is missing,
            or an image twice, or a name does not match the pattern.
    """
    table = None if rules.pattern is not None else choose_table(folder, rules.table)
    texts = _from_names(folder, rules, note) if table is None else _from_table(folder, read_table(table), note)
    if empty := [path for path, text in texts if not text]:
        raise DatasetError(f"{folder}: {len(empty)} images have an empty label, such as {empty[0]}; write it")
    return [(path, _folded(text, rules)) for path, text in texts]


def _from_names(folder: Path, rules: LabelRules, note: Callable[[str], None]) -> list[tuple[Path, str]]:
    images = find_images(folder, rules.recursive, note)
    if rules.pattern is None:
        for subfolder in sorted({path.parent for path in images} - {folder}):
            if tables := find_tables(subfolder):
                raise DatasetError(
                    f"{tables[0]}: a table of labels is only read from the folder that you name; name {subfolder}, or"
                    " give the place of the label in the file names (--label-pattern)"
                )
        return [(path, nfc(path.stem)) for path in images]
    if ignored := find_tables(folder):
        note(f"{folder}: labels come from the file names, {', '.join(path.name for path in ignored)} is not used")
    names = NamePattern.compile(rules.pattern)
    texts = []
    for path in images:
        try:
            texts.append((path, names.label(nfc(path.stem))))
        except InputError as error:
            raise DatasetError(f"{path}: {error}; rename the file, or give another pattern") from error
    return texts


def _from_table(folder: Path, table: Table, note: Callable[[str], None]) -> list[tuple[Path, str]]:
    for line in table.notes:
        note(line)
    places = Places(folder)
    named: dict[Path, str] = {}
    absent = 0
    for row in table.rows:
        where = f"{table.path}, {row.place}"
        path = _find(places, row.image, where)
        if path is None and table.excerpt:
            absent += 1
        elif path is None:
            raise DatasetError(f"{where}: image {row.image!r} is not in the folder; add it or drop the line")
        elif not is_image(path):
            raise DatasetError(f"{where}: {row.image!r} is no image, expected {', '.join(sorted(SUFFIXES))}")
        elif path in named:
            raise DatasetError(f"{where}: image {row.image!r} occurs a second time; keep one of the lines")
        elif not row.label:
            raise DatasetError(f"{where}: image {row.image!r} has no label; write it or drop the line")
        else:
            named[path] = nfc(row.label)
    if not named:
        raise DatasetError(
            f"{table.path}: names no image of {folder}; add a line for every image, or name the folder of the images"
        )
    if absent:
        note(f"{table.path.name}: {absent:,} lines name an image that is not in {folder}; they are left out")
    if unnamed := places.images_beside(set(named)):
        note(f"{folder}: {len(unnamed):,} images have no line in {table.path.name}, such as {unnamed[0]}; left out")
    return list(named.items())


def _find(places: Places, image: str, where: str) -> Path | None:
    try:
        return places.find(image)
    except DatasetError as error:
        raise DatasetError(f"{where}: image {error}") from error


def _folded(text: str, rules: LabelRules) -> str:
    if rules.fold_case is None:
        return text
    return nfc(text.upper() if rules.fold_case == "upper" else text.lower())
