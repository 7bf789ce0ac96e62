"""How numbers are written."""

from __future__ import annotations

from datetime import datetime

from edge_crnn.rounding import three_digits


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


def ms(value: float) -> str:
    """Milliseconds."""
    return f"{three_digits(value)} ms"


def megabytes(count: int) -> str:
    """In units of 10^6."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def points(change: float) -> str:
    """A change in points of 100, with its sign."""
    text = f"{change:+.2f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if text[1:] == "0.00" else text


def counted(number: int, one: str, many: str | None = None) -> str:
    """1 thread, 2 threads; `many` is the plural where it is not formed with an s."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {many or f'{one}s'}"


def day(date: str) -> str:
    """23 November 2026; text that is not a date stays as it is."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment.day} {moment:%B} {moment.year}"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
