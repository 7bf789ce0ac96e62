"""Finds the alphabet in a model file: in a StringLookup, a TextVectorization or an IntegerLookup.

Such a layer turns symbols into classes for training, or classes into symbols, so it may stand anywhere in the model,
also where the prediction does not pass. Keras 3 keeps the symbols in the layer's configuration, or in a text beside the
weights if the layer was adapted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .arrays import containers
from .file import KerasFile

_KINDS = ("IntegerLookup", "StringLookup", "TextVectorization")
_MAX_DEPTH = 16
_MAX_SYMBOLS = 1 << 16


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a lookup layer."""

    layer: str
    """Name of the layer."""
    kind: str
    """Class of the layer."""
    symbols: tuple[str | None, ...]
    """What each number stands for, from 0; None for the mask and unknown symbols, which no text contains."""
    oov: int
    """How many numbers stand for unknown symbols, [UNK] in Keras."""
    mask: str | None
    """What number 0 stands for, if it is the mask."""

    @property
    def text(self) -> str:
        """The symbols that a text may contain."""
        return "".join(symbol for symbol in self.symbols if symbol is not None)


def vocabularies(file: KerasFile) -> tuple[Vocabulary, ...]:
    """List the distinct vocabularies in a model file."""
    different: dict[tuple[str | None, ...], Vocabulary] = {}
    for place, entry in _entries(file.config, "", 0):
        vocabulary = _vocabulary(entry, file.assets, place)
        if vocabulary is not None:
            different.setdefault(vocabulary.symbols, vocabulary)
    return tuple(different.values())


def _entries(config: Mapping[str, Any], place: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all layers, also those of nested models, with the place of their weights."""
    settings = config.get("config")
    layers = settings.get("layers") if isinstance(settings, dict) else None
    if not isinstance(layers, list) or depth > _MAX_DEPTH:
        return
    entries = [entry for entry in layers if isinstance(entry, dict) and isinstance(entry.get("class_name"), str)]
    for entry, container in zip(entries, containers(entries), strict=True):
        inside = f"{place}layers/{container}"
        yield inside, entry
        yield from _entries(entry, f"{inside}/", depth + 1)


def _vocabulary(entry: Mapping[str, Any], assets: Mapping[str, str], place: str) -> Vocabulary | None:
    kind, settings = entry["class_name"].rpartition(">")[2], entry.get("config")
    if kind not in _KINDS or not isinstance(settings, dict):
        return None
    listed = _listed(settings.get("vocabulary"))
    if listed is None:
        text = next((assets[key] for key in (place, f"{place}/_lookup_layer") if key in assets), None)
        listed = None if text is None else text.split("\n")
    if not listed or len(listed) > _MAX_SYMBOLS:
        return None
    whole = kind == "TextVectorization"  # whose numbers are those of a StringLookup with a mask
    mask = "" if whole else settings.get("mask_token")
    unknown = "[UNK]" if whole else settings.get("oov_token", "[UNK]")
    oov = 1 if whole else settings.get("num_oov_indices", 1)
    if type(oov) is not int or not 0 <= oov <= _MAX_SYMBOLS:
        return None
    special = ([] if mask is None else [str(mask)]) + [str(unknown)] * oov
    symbols = listed[len(special) :] if listed[: len(special)] == special else listed
    name = str(entry.get("name") or settings.get("name"))
    mask_text = None if mask is None else str(mask)
    return Vocabulary(name, kind, (*(None,) * len(special), *symbols), oov, mask_text)


def _listed(value: Any) -> list[str] | None:
    """Return the symbols as strings; None: they are not in the configuration."""
    while isinstance(value, dict):  # an array, or a tuple of Keras 2, with its class
        value = value.get("config", value.get("value"))
    return [str(symbol) for symbol in value] if isinstance(value, list) else None
