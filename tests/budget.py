"""Numbers of examples of property tests, which the fast run makes smaller."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> int:
    """Return `count`, or a part of it in a profile that tries fewer examples than hypothesis' default of 100."""
    return max(1, count * settings.default.max_examples // 100)
