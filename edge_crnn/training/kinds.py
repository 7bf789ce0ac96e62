"""The names of all plates and negatives that are rendered, and of the groups that are rendered in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import negatives
from .layouts import KINDS
from .plates.table import FORMS

GROUPS: Mapping[str, tuple[str, ...]] = {
    "all-forms": tuple(FORMS),
    "first-five": KINDS,
    "negatives": negatives.KINDS,
}
"""Name → the kinds that are rendered in turn."""
READABLE = (*GROUPS["all-forms"], *GROUPS["first-five"])
"""The kinds that have a label."""
NEGATIVE = GROUPS["negatives"]
"""The kinds that have none."""
READABLE_CHOICES = (*READABLE, *(name for name, kinds in GROUPS.items() if kinds != NEGATIVE))
"""The kinds that have a label, and the groups of them."""


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that kinds and groups name, every kind once."""
    return tuple(dict.fromkeys(kind for name in names for kind in GROUPS.get(name, (name,))))
