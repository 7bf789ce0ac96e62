"""Labels in file names: the whole name without suffix, or the part of it that a pattern names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InputError

_WORD = re.compile(r"\{(\w*)\}")
_DIGITS = r"\d+"
_ANY = r".*"


@dataclass(frozen=True)
class NamePattern:
    """The place of the label in the name of a file."""

    text: str
    """The pattern in the user's words."""
    shortest: re.Pattern[str]
    """The regular expression of the pattern, with a group `label`."""
    longest: re.Pattern[str]
    """The same, but {index} and {any} match as much as possible. A name with two different labels is ambiguous."""

    @classmethod
    def compile(cls, text: str) -> NamePattern:
        """Compile a pattern of words, or a regular expression.

        The words are `{label}`, `{index}` (digits) and `{any}` (any characters, or none); other characters stand for
        themselves. A label beside `{any}` does not contain the text between the two. A pattern with the group
        `(?P<label>…)` is a regular expression for the whole name.

        Raises:
            InputError: the pattern has no label or two, has an unknown word, or is not a regular expression.
        """
        if "(?P<label>" in text:
            try:
                expression = re.compile(text)
            except (re.error, OverflowError, RecursionError) as error:
                raise InputError(f"label pattern {text!r} is no regular expression ({error}); correct it") from error
            return cls(text, expression, expression)
        parts = _WORD.split(text)  # literal text and words in turn
        literals = parts[::2]
        words = parts[1::2]
        if unknown := [word for word in words if word not in ("label", "index", "any")]:
            raise InputError(
                f"label pattern {text!r} has {{{unknown[0]}}}; expected {{label}}, {{index}} or {{any}}, such as"
                " {index}_{label}"
            )
        if words.count("label") != 1:
            raise InputError(
                f"label pattern {text!r} has {{label}} {words.count('label')} times, expected once, such as"
                " {index}_{label}"
            )
        return cls(text, _expression(literals, words, lazy="?"), _expression(literals, words, lazy=""))

    def label(self, name: str) -> str:
        """Return the label in a name without suffix, in Unicode's form NFC.

        Raises:
            InputError: the name does not match, or has two possible labels.
        """
        shortest = self.shortest.fullmatch(name)
        longest = self.longest.fullmatch(name)
        if shortest is None or longest is None:
            raise InputError(f"the name does not match the label pattern {self.text!r}")
        if shortest["label"] != longest["label"]:
            raise InputError(
                f"the label pattern {self.text!r} fits in two ways, with the label {shortest['label']!r} or"
                f" {longest['label']!r}; give a regular expression with a group (?P<label>…)"
            )
        return shortest["label"] or ""


def _expression(literals: list[str], words: list[str], lazy: str) -> re.Pattern[str]:
    place = words.index("label")
    beside = [literals[at] for at in (place, place + 1) if "any" in words[max(at - 1, 0) : at + 1] and literals[at]]
    label = "".join(f"(?!{re.escape(literal)})" for literal in beside)
    forms = {"label": f"(?P<label>(?:{label}.)+?)", "index": _DIGITS + lazy, "any": _ANY + lazy}
    source = re.escape(literals[0])
    for word, literal in zip(words, literals[1:], strict=True):
        source += forms[word] + re.escape(literal)
    return re.compile(source, re.DOTALL)
