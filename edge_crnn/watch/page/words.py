"""The files of the page and its words in each language, held in memory."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias

Language: TypeAlias = str
"""`en` or `ko`."""
LANGUAGES: tuple[Language, ...] = ("en", "ko")

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
_PLACE = re.compile(r"\{\{([A-Za-z]+)\}\}")
_PREFERENCE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,30})?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?")


@dataclass(frozen=True)
class StaticFile:
    """A file of the page."""

    content: bytes
    media_type: str
    tag: str
    """HTTP entity tag of the content."""


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return all files of the page by their names."""
    folder = resources.files(__package__) / "static"
    return {
        entry.name: StaticFile(
            content := entry.read_bytes(), _TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        )
        for entry in folder.iterdir()
        if (suffix := entry.name.rpartition(".")[2]) in _TYPES
    }


@cache
def words(language: Language) -> Mapping[str, str]:
    """Return the words of a language by their keys."""
    content: Mapping[str, str] = json.loads(static_files()[f"words.{language}.json"].content)
    return content


def page(language: Language, values: Mapping[str, str]) -> str:
    """Return the page in a language. A `{{key}}` in it stands for a value, or else for a word."""
    known = {**words(language), **values}
    template = static_files()["index.html"].content.decode()
    return _PLACE.sub(lambda place: html.escape(known[place[1]]), template)


def preferred(accept: str) -> Language:
    """Return the language that an `Accept-Language` header prefers; English if it names none of ours.

    Source: RFC 9110, section 12.5.4.
    """
    weights: dict[Language, float] = {}
    for part in accept[:500].split(","):
        if (match := _PREFERENCE.fullmatch(part)) and (language := match[1].lower()) in LANGUAGES:
            weights[language] = max(weights.get(language, 0.0), float(match[2] or 1))
    best = max(weights, key=lambda language: weights[language], default=LANGUAGES[0])
    return best if weights.get(best) else LANGUAGES[0]
