"""Rounds measured figures for people."""

from __future__ import annotations


def three_digits(value: float) -> str:
    """Format three significant digits, with at most three decimals and no exponent: 0.123, 9.48, 100, 1,235.

    The value is rounded before its digits are counted, so 99.96 gives 100 and not 100.0.
    """
    for decimals, limit in ((3, 1), (2, 10), (1, 100)):
        text = f"{value:,.{decimals}f}"
        if abs(float(text.replace(",", ""))) < limit:
            return text
    return f"{value:,.0f}"
