"""Text for generated pages in Markdown."""

from __future__ import annotations

import re


def code(text: str) -> str:
    """Code in a cell of a table, where a bar inside of backticks would end the cell."""
    return f"<code>{text.replace('<', '&lt;').replace('|', '&#124;')}</code>"


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return escaped(" ".join(text.split()).replace("|", r"\|"))


def escaped(text: str) -> str:
    """Text in Markdown, with options of the command line as code; what is code already stays as it is."""
    parts = text.split("`")
    parts[::2] = [_escaped_prose(part) for part in parts[::2]]
    return "`".join(parts)


def _escaped_prose(text: str) -> str:
    plain = text.replace("<", "&lt;").replace("*", r"\*")
    return re.sub(r"(?<!\w)(--?[a-z][a-z-]*)\b", r"`\1`", plain)


def sentence(text: str) -> str:
    """A text that begins with a capital letter and ends as a sentence does."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")", ":")) else ".")
