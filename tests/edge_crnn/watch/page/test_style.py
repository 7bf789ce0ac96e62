from __future__ import annotations

import re

import pytest

from edge_crnn.watch.page.words import static_files

STYLE = static_files()["style.css"].content.decode()
PAIRS = re.findall(r"--([a-z-]+): light-dark\(#([0-9a-f]+), #([0-9a-f]+)\);", STYLE)
COLOURS = {theme: {name: pair[theme] for name, *pair in PAIRS} for theme in (0, 1)}


def luminance(colour: str) -> float:
    """Return the relative luminance. Source: WCAG 2.2."""
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    shares = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio. Source: WCAG 2.2."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize(
    ("text", "ground", "least"),
    [
        *(("text", ground, 4.5) for ground in ("ground", "surface", "sunken")),
        *(("quiet", ground, 4.5) for ground in ("ground", "surface", "sunken")),
        *(("accent", ground, 4.5) for ground in ("surface", "tint")),
        *(("on-accent", "accent", 4.5), ("bad", "bad-tint", 4.5), ("bad", "surface", 4.5), ("warm", "surface", 4.5)),
        ("control", "surface", 3.0),
    ],
)
def test_contrast_is_that_of_wcag_aa(theme: int, text: str, ground: str, least: float) -> None:
    assert contrast(COLOURS[theme][text], COLOURS[theme][ground]) >= least


def test_motion_is_only_for_those_who_want_it() -> None:
    outside = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", STYLE, flags=re.S)
    assert not re.search(r"\b(animation|transition)\b", outside)


def test_every_variable_and_rule_stands_once() -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", STYLE))
    defined = re.findall(r"^\s+--([a-z-]+):", STYLE, re.M)
    assert used == set(defined)
    assert len(defined) == len(set(defined))
    top = [line for line in STYLE.split("@media")[0].splitlines() if "{" in line]
    assert len(top) == len(set(top))
