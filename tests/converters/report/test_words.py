from __future__ import annotations

import pytest

from converters.report.words import estimate


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (9, 10, "9 of 10, 90.00% (55.50% to 99.75%)"),
        (4833, 4838, "4,833 of 4,838, 99.90% (99.76% to 99.97%)"),
        (0, 0, "none"),
    ],
)
def test_estimate(part: int, whole: int, text: str) -> None:
    assert estimate(part, whole) == text
