"""Texts → labels of an alphabet: what it cannot spell is rejected, or dropped and counted."""

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
    """The labels of texts.

    Args:
        texts: image and text.
        alphabet: that spells the labels.
        folder: of the images, for a message.
        drop_unknown: whether characters that the alphabet does not have are dropped, and counted in a note.
        note: takes a line for the user.

    Raises:
        DatasetError: a text has characters that the alphabet does not have (all are listed), or no other ones.
    """
    labels = []
    unknown: Counter[str] = Counter()
    example: tuple[Path, str] | None = None
    for path, text in texts:
        label, places = alphabet.sift(text)
        if places:
            unknown.update(nfc(text)[place] for place in places)
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


def _counts(unknown: Counter[str]) -> str:
    ordered = sorted(unknown.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{character!r} {count:,}" for character, count in ordered)


def _advice(unknown: Counter[str], alphabet: Alphabet) -> str:
    symbols = {*alphabet.symbols}
    for case, fold in (("upper", str.upper), ("lower", str.lower)):
        if all(fold(character) in symbols for character in unknown):
            return f"or fold their case (--fold-case {case})"
    return (
        "or say where the label stands in the names (--label-pattern '{index}_{label}'), or drop these characters"
        " (--drop-unknown)"
    )
