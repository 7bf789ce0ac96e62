"""Text that is safe to print: a file name or a label must not control the terminal or break a line."""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1
    "\u202a-\u202e\u2066-\u2069"  # override or embed a direction of writing
    "\u2028\u2029"  # separate lines and paragraphs
    "\udc80-\udc9f]"  # bytes of a file name that is not UTF-8, which are C1 in 8 bits
)
"""A character that controls a terminal instead of being shown."""

_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")  # C0 is escaped anyway

HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can spell and UTF-8 cannot."""


def printable(text: object) -> str:
    r"""Return a string with its control characters escaped, such as `\n`, `\x1b` or `\u202e`.

    C0 and C1 controls, DEL, line and paragraph separators, and overrides of the writing direction are escaped. Other
    characters stay. A backslash stays too, because this is for people; programs read JSON, which is exact.
    """
    return UNSAFE.sub(_escaped, str(text))


def printable_json(text: str) -> str:
    r"""Return JSON with the same content whose strings have no control characters, such as `\u009b`, or half ones.

    Each line of JSON lines stays one line for `str.splitlines`, too.
    """
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(message: object) -> str:
    """Return a message on one line, with its control characters escaped."""
    return printable(" ".join(str(message).splitlines()))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udc9f":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
