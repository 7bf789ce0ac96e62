"""Turns texts into labels of an alphabet; characters that it cannot spell are rejected, or dropped and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..alphabet import Alphabet
from ..errors import DatasetError
from .places import nfc


def spelled(
    texts: Sequence[tuple[Path, str]],
    alphabet: Alphabet,
    folder: Path,
    drop_unknown: bool,
    note: Callable[[str], None],
) -> list[tuple[Path, str]]:
    """Return image and label of every text.

    Args:
        texts: image and text.
        alphabet: the alphabet of the labels.
        folder: the folder of the images, for a message.
        drop_unknown: drop characters that the alphabet does not have, and count them in a note.
        note: writes a line for the user.

    Raises:
        DatasetError: a text has characters that the alphabet does not have (all are listed), or no other ones.
    """
    labels = []
    unknown: Counter[str] = Counter()
    example: tuple[Path, str] | None = None
    for path, text in texts:
        text = nfc(text)
        label, places = alphabet.sift(text)
        if places := (*places, *_stray_spaces(text, alphabet)):
            unknown.update(text[place] for place in places)
            example = example or (path, text)
        labels.append((path, label))
    if example is not None and not drop_unknown:
        raise DatasetError(
            f"{folder}: labels have characters that the alphabet does not have: {_counts(unknown)}; such as"
            f" {example[1]!r} of {example[0]}. Expected the symbols {alphabet}: correct the labels,"
            f" {_advice(unknown, alphabet)}"
        )
    if empty := [path for path, label in labels if not label]:
        raise DatasetError(
            f"{folder}: {len(empty)} labels have no symbol of the alphabet {alphabet}, such as that of {empty[0]};"
            " correct them, or remove the images"
        )
    if unknown:
        note(f"{folder}: dropped {unknown.total():,} characters that the alphabet does not have: {_counts(unknown)}")
    return labels


def _stray_spaces(text: str, alphabet: Alphabet) -> list[int]:
    """Return the places of white space in a text (in NFC) that is no symbol and belongs to no text of the label map.

    A label map reads 나 as " 나 ", so white space beside it may be written or left out. Elsewhere it belongs to the
    label, as without a label map: "1234 2" may be a copy of the file "1234", and is not the label 12342.
    """
    if not alphabet.label_map or not any(map(str.isspace, text)):
        return []
    reading = alphabet.read(alphabet.sift(text)[0])
    allowed = {_visible(reading[:place]) for place, character in enumerate(reading) if character.isspace()}
    allowed |= {0, _visible(reading)}
    return [
        place
        for place, character in enumerate(text)
        if character.isspace()
        and character not in alphabet.symbols
        and _visible(alphabet.read(alphabet.sift(text[:place])[0])) not in allowed
    ]


def _visible(text: str) -> int:
    """Count the characters that are not white space."""
    return len("".join(text.split()))


def _counts(unknown: Counter[str]) -> str:
    ordered = sorted(unknown.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{character!r} {count:,}" for character, count in ordered)


def _advice(unknown: Counter[str], alphabet: Alphabet) -> str:
    symbols = {*alphabet.symbols}
    for case, fold in (("upper", str.upper), ("lower", str.lower)):
        if all(fold(character) in symbols for character in unknown):
            return f"or fold their case (--fold-case {case})"
    return (
        "or give the place of the label in the names (--label-pattern '{index}_{label}'), or drop these characters"
        " (--drop-unknown)"
    )
