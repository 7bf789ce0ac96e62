"""Text for generated pages in Markdown."""

from __future__ import annotations

import re


def code(text: str) -> str:
    """Return code for a cell of a table, where a bar inside backticks would end the cell."""
    return f"<code>{text.replace('<', '&lt;').replace('|', '&#124;')}</code>"


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return escaped(" ".join(text.split()).replace("|", r"\|"))


def escaped(text: str) -> str:
    """Return text in Markdown, with options of the command line as code; existing code stays unchanged."""
    parts = text.split("`")
    parts[::2] = [_escaped_prose(part) for part in parts[::2]]
    return "`".join(parts)


def _escaped_prose(text: str) -> str:
    plain = text.replace("<", "&lt;").replace("*", r"\*")
    return re.sub(r"(?<!\w)(--?[a-z][a-z-]*)\b", r"`\1`", plain)


def sentence(text: str) -> str:
    """Return a text with a capital letter at its beginning and a full stop at its end."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")", ":")) else ".")
