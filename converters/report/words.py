"""Formats numbers, dates and lists for the text of a report."""

from __future__ import annotations

from datetime import datetime

from edge_crnn.binomial import binomial_interval
from edge_crnn.rounding import three_digits


def percent(share: float) -> str:
    """Format a share with two decimals, such as "99.90%"."""
    return f"{share:.2%}"


def tick(share: float) -> str:
    """Format a share on an axis with as few digits as it needs, such as "99.5%"."""
    return f"{100 * share:.6g}%"


def between(low: float, high: float) -> str:
    """Format an interval of shares, such as "99.10% to 99.90%"."""
    return f"{percent(low)} to {percent(high)}"


def of(part: int, whole: int) -> str:
    """Format a count of a whole, such as "4,833 of 4,838"."""
    return f"{part:,} of {whole:,}"


def estimate(part: int, whole: int) -> str:
    """Format a count with its share and the 95 % interval of that, such as "9 of 10, 90.00% (55.50% to 99.75%)"."""
    if not whole:
        return "none"
    return f"{of(part, whole)}, {percent(part / whole)} ({between(*binomial_interval(part, whole))})"


def ms(value: float) -> str:
    """Format milliseconds with three digits, such as "3.41 ms"."""
    return f"{three_digits(value)} ms"


def megabytes(count: int) -> str:
    """Format a number of bytes in MB (10^6 bytes), or in kB below 0.1 MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def points(change: float) -> str:
    """Format a change in percentage points with its sign, such as "+0.12"."""
    text = f"{change:+.2f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if text[1:] == "0.00" else text


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format a number with its noun, such as "2 threads"; `many` is an irregular plural."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many or f'{one}s'}"


def day(date: str) -> str:
    """Format an ISO date, such as "23 November 2026"; other text is returned unchanged."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment.day} {moment:%B} {moment.year}"


def listed(names: list[str]) -> str:
    """Join names, such as "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
