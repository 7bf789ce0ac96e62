"""Class indices ↔ symbols ↔ text for people.

Every class of a network is a symbol, except for the blank and for unused classes. A sequence of symbols is a label
(`A18sk6897`), as in the names of image files. A label map turns it into text for people (`서울 18 나 6897`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .errors import AlphabetError
from .terminal import HALF_CHARACTER, UNSAFE

UNUSED = "\ufffd"
"""The text of an unused class (U+FFFD, the replacement character), which is visible and occurs in no label."""


@dataclass(frozen=True)
class Alphabet:
    """The symbols of a network, the place of its blank among the classes, and the text of labels.

    Raises:
        AlphabetError: if there is no symbol, a symbol is empty or repeated, the blank or an unused class is out of
            range, a class is unused twice or is the blank, a key of the label map is not spelled with the symbols, two
            keys have the same text, or a symbol or a text of the label map has a control character or half a character.
    """

    symbols: tuple[str, ...]
    """Symbols in the order of their classes, without the blank and unused classes, in Unicode's form NFC."""
    blank: int
    """Class index of the blank."""
    label_map: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Part of a label → text for a person. Its white space is ignored when a text is turned into a label."""
    unused: tuple[int, ...] = ()
    """Class indices that occur in no text, such as StringLookup's [UNK], in ascending order."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "unused", tuple(sorted(self.unused)))
        object.__setattr__(self, "symbols", tuple(_nfc(symbol) for symbol in self.symbols))
        object.__setattr__(self, "label_map", {_nfc(key): _nfc(text) for key, text in self.label_map.items()})
        if not self.symbols:
            raise AlphabetError("the alphabet is empty, expected at least one symbol")
        if "" in self.symbols:
            raise AlphabetError(f"symbol {self.symbols.index('')} of the alphabet is empty, expected a text")
        for text in (*self.symbols, *self.label_map.values()):
            if (control := UNSAFE.search(text)) is not None:
                raise AlphabetError(
                    f"{text!a} has the control character U+{ord(control[0]):04X}, expected characters that can be"
                    " shown: replace it, or name the class of the symbol among the unused classes"
                )
            if (half := HALF_CHARACTER.search(text)) is not None:
                raise AlphabetError(
                    f"{text!a} has half of a character, U+{ord(half[0]):04X}, expected whole characters: replace it"
                )
        if twice := _repeated(self.symbols):
            raise AlphabetError(f"the alphabet has {twice!r} twice, expected every symbol once")
        if not 0 <= self.blank < self.classes:
            raise AlphabetError(f"blank is {self.blank}, expected 0 (first) to {self.classes - 1} (last class)")
        if (problem := self._problem_with_unused()) is not None:
            raise AlphabetError(problem)
        for key in self.label_map:
            if not key or self._unknown_at(key) is not None:
                raise AlphabetError(
                    f"label map has the key {key!r}, expected symbols of the alphabet {self}: remove the key"
                )
        if (twice := _repeated(map(_squeeze, self.label_map.values()))) is not None:
            raise AlphabetError(f"two keys of the label map have the text {twice!r}, so it has no inverse: change one")

    def __str__(self) -> str:
        return ("" if all(len(symbol) == 1 for symbol in self.symbols) else " ").join(self.symbols)

    @property
    def classes(self) -> int:
        """Number of the network's classes, including the blank and unused classes."""
        return len(self.symbols) + 1 + len(self.unused)

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """The class indices of all symbols, in their order."""
        others = {self.blank, *self.unused}
        return tuple(index for index in range(self.classes) if index not in others)

    def spell(self, indices: Iterable[int]) -> str:
        """Return the label of class indices from a decoder, with `UNUSED` for an unused class.

        Raises:
            AlphabetError: if an index is the blank or not a class.
        """
        try:
            return "".join([self._spelling[index] for index in indices])
        except KeyError as error:
            raise AlphabetError(
                f"class {error.args[0]} has no symbol, expected 0 to {self.classes - 1} except the blank"
            ) from None

    def encode(self, label: str) -> tuple[int, ...]:
        """Return the class indices of a label; if several symbols match, the longest is used.

        Raises:
            AlphabetError: if a part of the label is no symbol.
        """
        if (place := self._unknown_at(label)) is not None:
            raise self._unknown(label, place)
        return tuple(self._index[symbol] for symbol in self._symbol.findall(label))

    def encode_reading(self, label: str) -> tuple[int, ...]:
        """Return the class indices of a decoder's label: see `encode`. Every `UNUSED` becomes the first unused class.

        Raises:
            AlphabetError: if a part of the label is neither a symbol nor `UNUSED`.
        """
        parts = label.split(UNUSED) if self.unused else [label]
        indices = self.encode(parts[0])
        for part in parts[1:]:
            indices += (self.unused[0], *self.encode(part))
        return indices

    def read(self, label: str) -> str:
        """Return the text for a person: from the left, the longest matching key of the label map is replaced.

        Other symbols stay, and outer white space is stripped. Without a label map, the text is the label.
        """
        if not self.label_map:
            return label
        return self._key_or_symbol.sub(lambda part: self.label_map.get(part[0], part[0]), label).strip()

    def label(self, text: str) -> str:
        """Return the label of a text that a person wrote, or of a label: the inverse of `read`.

        The text may be in NFC or NFD. From the left, the longest matching text of the label map becomes its key, and
        other symbols stay. A key with an empty text (`Z`, no region) is put in front of a label that does not start
        with a key. With a label map, white space that is no symbol is ignored.

        So a label is recovered from its text only if a key with an empty text stands only in front, not alone and not
        before another key, and if the text can be split into texts and symbols in only one way.

        Raises:
            AlphabetError: if a part of the text is neither in the label map nor a symbol.
        """
        label, unknown = self.sift(text)
        if unknown:
            raise self._unknown(_nfc(text), unknown[0])
        return label

    def sift(self, text: str) -> tuple[str, tuple[int, ...]]:
        """Return the label of a text without unknown characters, and the places of these; see `label`.

        A character is unknown if it is neither in the label map nor a symbol. Places count the characters of the text
        in NFC.
        """
        text = _nfc(text)
        parts = []
        unknown = []
        place = 0
        while place < len(text):
            part = self._text_or_symbol.match(text, place)
            if part is None:
                unknown.append(place)
                place += 1
                continue
            if part["text"]:
                parts.append(self._key[_squeeze(part["text"])])
            elif part["symbol"]:
                parts.append(part["symbol"])
            place = part.end()
        label = "".join(parts)
        if label and not label.startswith(tuple(self.label_map)):
            label = self._key.get("", "") + label
        return label, tuple(unknown)

    def _problem_with_unused(self) -> str | None:
        if any(not 0 <= index < self.classes for index in self.unused):
            return f"unused classes are {self.unused}, expected 0 to {self.classes - 1}"
        if self.blank in self.unused:
            return f"class {self.blank} is the blank and unused, expected only one of the two"
        if twice := {str(index) for index in self.unused if self.unused.count(index) > 1}:
            return f"class {', '.join(sorted(twice))} is unused twice, expected every class once"
        if self.unused and UNUSED in self.symbols:
            return f"the symbol {UNUSED!r} stands for unused classes: name its class among these"
        return None

    def _unknown_at(self, label: str) -> int | None:
        place = 0
        while place < len(label):
            symbol = self._symbol.match(label, place)
            if symbol is None:
                return place
            place = symbol.end()
        return None

    def _unknown(self, text: str, place: int) -> AlphabetError:
        return AlphabetError(
            f"{text!r} has {text[place]!r} at position {place}, expected the symbols {self}: "
            "correct the text, or use a model that knows the symbol"
        )

    @cached_property
    def _index(self) -> dict[str, int]:
        return dict(zip(self.symbols, self.indices, strict=True))

    @cached_property
    def _spelling(self) -> dict[int, str]:
        return {**dict.fromkeys(self.unused, UNUSED), **dict(zip(self.indices, self.symbols, strict=True))}

    @cached_property
    def _key(self) -> dict[str, str]:
        return {_squeeze(text): key for key, text in self.label_map.items()}

    @cached_property
    def _symbol(self) -> re.Pattern[str]:
        return re.compile(_longest_of(self.symbols))

    @cached_property
    def _key_or_symbol(self) -> re.Pattern[str]:
        return re.compile(f"{_longest_of(self.label_map)}|{_longest_of(self.symbols)}")

    @cached_property
    def _text_or_symbol(self) -> re.Pattern[str]:
        texts = _longest_of((text for text in self._key if text), between=r"\s*")
        nothing = r"\s" if self.label_map else r"(?!)"
        return re.compile(rf"(?P<text>{texts})|(?P<symbol>{_longest_of(self.symbols)})|{nothing}")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _repeated(texts: Iterable[str]) -> str | None:
    seen = set()
    for text in texts:
        if text in seen:
            return text
        seen.add(text)
    return None


def _longest_of(texts: Iterable[str], between: str = "") -> str:
    """Return a pattern of alternatives, longest first; without alternatives, a pattern that never matches."""
    longest_first = sorted(texts, key=len, reverse=True)
    return "|".join(between.join(map(re.escape, text)) for text in longest_first) or r"(?!)"


def _syllable(keys: str) -> str:
    """Return the Hangul syllable typed with two keys of a Korean keyboard: sk → 나 (Unicode, section 3.12)."""
    consonant = _CONSONANTS[keys[0]]
    vowel = _VOWELS[keys[1]]
    return chr(0xAC00 + (consonant * 21 + vowel) * 28)


# keyboard key → number of the jamo in Unicode's order of leading consonants, and of vowels
_CONSONANTS = dict(zip("rsefaqtdwg", (0, 2, 3, 5, 6, 7, 9, 11, 12, 18), strict=True))  # ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅎ
_VOWELS = dict(zip("kjhno", (0, 4, 8, 13, 1), strict=True))  # ㅏㅓㅗㅜㅐ
_REGIONS = (
    *("서울", "경기", "인천", "강원", "충남", "대전", "충북", "부산"),
    *("울산", "대구", "경북", "경남", "전남", "광주", "전북", "제주"),
)
_SYLLABLES = [consonant + vowel for consonant in "rsefaqtdw" for vowel in "kjhn"] + ["gj", "gh", "gk"]

KOREAN_PLATES: Mapping[str, str] = {
    **{letter: f"{region} " for letter, region in zip("ABCDEFGHIJKLMNOP", _REGIONS, strict=True)},
    "Z": "",
    **{keys: f" {_syllable(keys)} " for keys in _SYLLABLES},
}
"""Label map of Korean number plates: regions A to P, Z for none, and syllables as typed on a Korean keyboard.

`A18sk6897` reads 서울 18 나 6897, `Z18sk6897` reads 18 나 6897, and `Z152gk3108` reads 152 하 3108.
"""

PLATES = Alphabet(tuple("adefghjknqrstwABCDEFGHIJKLMNOPZ0123456789"), blank=41, label_map=KOREAN_PLATES)
"""The Korean plates that KOREAN_PLATES reads: all that are on the road but 배, military and diplomatic ones."""

PLATES_2019 = Alphabet(
    tuple("adefghjknoqrstw0123456789"),
    blank=25,
    label_map={keys: f" {_syllable(keys)} " for keys in sorted([*_SYLLABLES, "qo"])},
)
"""Korean plates since 2019: three digits and no region, and 하 허 호 배 on plates for hire and for deliveries.

`152rk3108` reads 152 가 3108.
"""
