from __future__ import annotations

import argparse

import pytest

from edge_crnn.cli.command import duration, parsed_by, size
from edge_crnn.errors import InputError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "0h", "1.5h", "1w", "٣s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="duration"):
        duration(text)


def test_sizes() -> None:
    assert (size("5K"), size("500M"), size("2G")) == (5 << 10, 500 << 20, 2 << 30)
    for text in ("500", "0M", "M", "1.5G", "٣M"):
        with pytest.raises(argparse.ArgumentTypeError, match="size"):
            size(text)


def test_an_error_of_a_parser_is_one_of_usage() -> None:
    def parse(text: str) -> int:
        if text != "one":
            raise InputError(f"found {text}, expected one")
        return 1

    assert parsed_by(parse)("one") == 1
    with pytest.raises(argparse.ArgumentTypeError, match="found two, expected one"):
        parsed_by(parse)("two")
