"""Markup that escapes: text is text, unless it was made by `element`."""

from __future__ import annotations

from html import escape


class Markup(str):
    """HTML or SVG that is ready; any other str is text."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """One element with its children.

    An attribute's name loses a trailing underscore, the others become hyphens; numbers are written as short as they
    may be for a place on a screen; None leaves the attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in ("meta", "img", "wbr"):
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Parts behind one another, text among them escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.4g}"
