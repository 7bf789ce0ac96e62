"""Numbers of examples of property tests, which depend on the run: see the profiles in `tests.conftest`."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> int:
    """Return the share of `count` that the profile tries of the whole budget, 100 examples."""
    return max(1, count * settings.default.max_examples // 100)
