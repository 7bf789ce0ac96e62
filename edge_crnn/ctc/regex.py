r"""Parses the regular expressions of grammars: those that an automaton can follow, in the syntax of Python's `re`.

Supported are characters, classes, `.`, `\d`, groups, alternation and repeats. Messages name any other construct.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, NoReturn, TypeAlias

from ..errors import InputError

MOST_REPEATS = 1000
"""The largest number in `{m,n}`."""

_DEEPEST = 50  # groups within groups


class Characters(NamedTuple):
    """Matches one character of a set."""

    source: str
    """The text of the expression that it was parsed from."""
    ranges: tuple[tuple[str, str], ...] = ()
    digits: bool = False
    """Whether all decimal digits belong to the set."""
    negated: bool = False

    def has(self, character: str) -> bool:
        """Return whether a character belongs to the set."""
        listed = any(low <= character <= high for low, high in self.ranges) or (self.digits and character.isdecimal())
        return listed != self.negated


class Joined(NamedTuple):
    """Matches its parts one after another."""

    parts: tuple[Node, ...]


class Choice(NamedTuple):
    """Matches one of its options."""

    options: tuple[Node, ...]


class Repeat(NamedTuple):
    """Matches a part several times."""

    part: Node
    least: int
    most: int | None
    """None: unlimited."""


Node: TypeAlias = Characters | Joined | Choice | Repeat


def parse(text: str) -> Node:
    """Parse an expression, normalised to Unicode NFC, into a tree.

    Raises:
        InputError: it is no regular expression, or an automaton cannot follow it.
    """
    return _Parser(unicodedata.normalize("NFC", text)).parsed()


_GROUPS = {
    "(?=": "a look-ahead",
    "(?!": "a look-ahead",
    "(?<=": "a look-behind",
    "(?<!": "a look-behind",
    "(?P<": "a named group",
    "(?P=": "a back-reference",
    "(?P>": "a recursion",
    "(?#": "a comment",
    "(?(": "a condition",
    "(?>": "an atomic group",
}
_ESCAPES = {
    **dict.fromkeys("123456789", "a back-reference"),
    **dict.fromkeys("AZbB", "an anchor"),
    **dict.fromkeys("wWsSD", "a class of Unicode"),
}
_COUNTS = re.compile(r"\{(\d*)(?:(,)(\d*))?\}", re.ASCII)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0

    def parsed(self) -> Node:
        node = self._choice()
        if self._peek() == ")":
            self._fail("a ) that closes no group", "remove it, or write \\)")
        return node

    def _choice(self) -> Node:
        options = [self._joined()]
        while self._take("|"):
            options.append(self._joined())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _joined(self) -> Node:
        parts = []
        if self.depth == 0:  # anchors are redundant: a grammar matches whole labels
            self._take("^")
        while self._peek() not in ("", "|", ")"):
            if self.depth == 0 and self.text[self.place :][:2] in ("$", "$|"):
                self.place += 1
                break
            parts.append(self._repeated(self._one()))
        return Joined(tuple(parts))

    def _one(self) -> Node:
        start = self.place
        if self._take("("):
            return self._group(start)
        if self._take("["):
            return self._class(start)
        if self._take("."):
            return Characters(".", (("\n", "\n"),), negated=True)
        if self._peek() in ("^", "$"):
            self._fail("an anchor", "remove it: a grammar always matches the whole label")
        if self._peek() in ("*", "+", "?", "{"):
            self._fail("a repeat of nothing", f"write \\{self._peek()} for the character")
        character, digits = self._character()
        return Characters(self.text[start : self.place], () if digits else ((character, character),), digits)

    def _group(self, start: int) -> Node:
        if self._peek() == "?" and not self._take("?:"):
            constructs = (name for prefix, name in _GROUPS.items() if self.text.startswith(prefix, start))
            self.place = start
            self._fail(next(constructs, "a flag"), "a group is (…) or (?:…)")
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} groups within groups", "nest fewer groups")
        node = self._choice()
        if not self._take(")"):
            self.place = start
            self._fail("a group that is not closed", "add the )")
        self.depth -= 1
        return node

    def _class(self, start: int) -> Node:
        negated = self._take("^")
        ranges = []
        digits = False
        while not self._take("]"):
            if not self._peek():
                self.place = start
                self._fail("a class that is not closed", "add the ]")
            low, is_digits = self._character()
            if is_digits:
                digits = True
                continue
            high = low
            if self._peek() == "-" and self.text[self.place + 1 : self.place + 2] not in ("]", ""):
                self.place += 1
                high, is_digits = self._character()
                if is_digits or high < low:
                    self._fail("a range that ends before it begins", "turn it around, or write \\- for the character")
            ranges.append((low, high))
        if not ranges and not digits:
            self.place = start
            self._fail("an empty class", "list its characters; \\] and \\^ stand for themselves")
        return Characters(self.text[start : self.place], tuple(ranges), digits, negated)

    def _character(self) -> tuple[str, bool]:
        """Return a character and False, or any text and True for an escape of all digits."""
        character = self._peek()
        self.place += 1
        if character != "\\":
            return character, False
        escaped = self._peek()
        if escaped == "d":
            self.place += 1
            return escaped, True
        if not escaped or (escaped.isascii() and escaped.isalnum()):
            self.place -= 1
            self._fail(_ESCAPES.get(escaped, f"the escape \\{escaped}"), "write the characters themselves, or a class")
        self.place += 1
        return escaped, False

    def _repeated(self, node: Node) -> Node:
        counts = self._counts()
        if counts is None:
            return node
        if self._peek() in ("?", "+", "*", "{"):
            self._fail("a lazy, possessive or repeated repeat", "put a group around what is repeated")
        return Repeat(node, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        for sign, counts in (("?", (0, 1)), ("*", (0, None)), ("+", (1, None))):
            if self._take(sign):
                return counts
        if self._peek() != "{":
            return None
        match = _COUNTS.match(self.text, self.place)
        if match is None or match[0] in ("{}", "{,}"):
            self._fail("a { that is no repeat", "write {m}, {m,n} or \\{")
        least, most = (int(count[:9]) if count else None for count in (match[1], match[3]))
        if not match[2]:
            most = least
        if max(least or 0, most or 0) > MOST_REPEATS:
            self._fail(f"a repeat of more than {MOST_REPEATS} times", "write a smaller one")
        if most is not None and most < (least or 0):
            self._fail("a repeat whose most is less than its least", "turn it around")
        self.place = match.end()
        return least or 0, most

    def _peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self, token: str) -> bool:
        taken = self.text.startswith(token, self.place)
        self.place += len(token) * taken
        return taken

    def _fail(self, problem: str, advice: str) -> NoReturn:
        raise InputError(f"grammar {self.text!r} has {problem} at position {self.place}: {advice}")
