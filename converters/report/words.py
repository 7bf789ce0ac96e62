"""How numbers are written."""

from __future__ import annotations

from datetime import datetime


def percent(share: float) -> str:
    """To a hundredth: 99.90%."""
    return f"{share:.2%}"


def tick(share: float) -> str:
    """A share on an axis: no more digits than it has."""
    return f"{100 * share:.6g}%"


def between(low: float, high: float) -> str:
    """An interval of shares."""
    return f"{percent(low)} to {percent(high)}"


def of(part: int, whole: int) -> str:
    """4,833 of 4,838."""
    return f"{part:,} of {whole:,}"


def digits(value: float) -> str:
    """Three digits, as far as there are decimals to drop: 0.123, 9.48, 141."""
    return f"{value:,.{0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3}f}"


def ms(value: float) -> str:
    """Milliseconds."""
    return f"{digits(value)} ms"


def megabytes(count: int) -> str:
    """In units of 10^6."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def points(change: float) -> str:
    """A change in points of 100, with its sign."""
    text = f"{change:+.2f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if text[1:] == "0.00" else text


def counted(number: int, one: str, many: str | None = None) -> str:
    """1 thread, 2 threads."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def day(date: str) -> str:
    """23 November 2026; what is no date stays as it is."""
    try:
        found = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{found.day} {found:%B} {found.year}"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
