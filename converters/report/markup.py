"""HTML and SVG elements; all text is escaped unless `element` made it."""

from __future__ import annotations

from html import escape


class Markup(str):
    """HTML or SVG; any other str is text that must be escaped."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Write an element with its children.

    An attribute's name loses a trailing underscore, and other underscores become hyphens. A number is written with the
    few digits that a position on a screen needs. None leaves the attribute out.
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
    """Join parts, and escape those that are text."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.4g}"
