from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.rounding import three_digits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.000"),
        (0.0625, "0.062"),
        (0.9994, "0.999"),
        (0.9996, "1.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (141.4, "141"),
        (999.6, "1,000"),
        (1234.5, "1,234"),
        (-99.96, "-100"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


@given(st.floats(-1e12, 1e12))
def test_three_digits_is_the_nearest_number_with_that_many(value: float) -> None:
    """The slow way: decimal arithmetic, and the place of the last digit from the rounded number."""
    exact = Decimal(value)
    for place in (Decimal("0.001"), Decimal("0.01"), Decimal("0.1"), Decimal(1)):
        rounded = exact.quantize(place, ROUND_HALF_EVEN)
        if place == 1 or abs(rounded) < place * 1000:
            break
    text = three_digits(value)
    assert Decimal(text.replace(",", "")) == rounded
    digits = text.replace(",", "").lstrip("-").replace(".", "").lstrip("0")
    assert len(digits) <= max(3, len(str(int(abs(rounded)))))


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_three_digits_keeps_the_order(first: float, second: float) -> None:
    low, high = (float(three_digits(value).replace(",", "")) for value in sorted((first, second)))
    assert low <= high
