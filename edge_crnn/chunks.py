"""Splits long sequences into parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def chunked(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in lists of `size`, the last one shorter."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
