"""Search by part of a plate."""

from __future__ import annotations

import unicodedata

_FIRST_SYLLABLE, _LAST_SYLLABLE = "가", "힣"
_SYLLABLES_PER_INITIAL = 588
_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
"""Initial consonants in the order of the syllables. Source: The Unicode Standard, section 3.12."""


def normal(text: str) -> str:
    """Return a text without spaces and punctuation, in lower case, with composed syllables and plain digits."""
    composed = unicodedata.normalize("NFKC", text.replace("\u200b", "")).casefold()
    # NFKC turns the consonants that a keyboard gives into another kind; those of a name or a search stay as typed.
    kept = (character for character in composed if character.isalnum())
    return "".join(_COMPATIBLE.get(character, character) for character in kept)


def matches(text: str, part: str) -> bool:
    """Return whether `part` occurs in `text`; both must be normal. A lone consonant fits each syllable it begins."""
    return any(all(map(_fits, text[start : start + len(part)], part)) for start in range(len(text) - len(part) + 1))


def _fits(character: str, wanted: str) -> bool:
    return character == wanted or (wanted in _INITIALS and _initial(character) == wanted)


def _initial(character: str) -> str | None:
    """Return the consonant that a syllable begins with; None for other characters."""
    if not _FIRST_SYLLABLE <= character <= _LAST_SYLLABLE:
        return None
    return _INITIALS[(ord(character) - ord(_FIRST_SYLLABLE)) // _SYLLABLES_PER_INITIAL]


_COMPATIBLE = {unicodedata.normalize("NFKC", consonant): consonant for consonant in _INITIALS}
