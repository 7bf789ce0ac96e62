"""Seeded changes of files and of JSON, as damage, bugs and attackers make them."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

NUMBERS: tuple[Any, ...] = (0, -1, 1, 2**31 - 1, 2**31, 2**63, 2**70, 10**18, 10**30, 1e308, -1e-320, 0.5)
"""Numbers at which something overflows, allocates or divides by zero."""
TEXTS = ("", " ", "\0", "\x1b[2J", "\u202e", "\ud800", "a" * 5000, "서울", "../../etc/passwd", "é", "é", "1e5")
"""Texts that terminals, file systems and normalisation treat in a special way."""


def mutated(seed: bytes, others: list[bytes], generator: random.Random) -> bytes:
    """Change a file in one to four places.

    Args:
        seed: the file.
        others: files from which pieces are taken.
        generator: source of all randomness.
    """
    data = bytearray(seed)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        _BYTE_CHANGES[generator.randrange(len(_BYTE_CHANGES))](data, others, generator)
    return bytes(data)


def _span(data: bytearray, generator: random.Random) -> slice:
    # Headers are short and at the start, where most of what a parser decides on stands.
    start = generator.randrange(min(len(data), 64) if generator.random() < 0.4 else len(data))
    return slice(start, start + int(2 ** generator.uniform(0, 10)))


def _flip_bit(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    place = _span(data, generator).start
    data[place] ^= 1 << generator.randrange(8)


def _set_bytes(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    """Write a number of 1, 2, 4 or 8 bytes that is likely to be a length, a size or an offset."""
    width = generator.choice((1, 2, 4, 8))
    number = generator.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), generator.randrange(2 ** (8 * width))))
    start = _span(data, generator).start
    data[start : start + width] = number.to_bytes(width, generator.choice(("big", "little")))


def _zero(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    span = _span(data, generator)
    data[span] = bytes(len(data[span]))


def _noise(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    span = _span(data, generator)
    data[span] = generator.randbytes(len(data[span]))


def _remove(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    del data[_span(data, generator)]


def _repeat(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    span = _span(data, generator)
    data[span.start : span.start] = data[span] * generator.choice((1, 2, 50))


def _insert(data: bytearray, others: list[bytes], generator: random.Random) -> None:
    other = bytearray(generator.choice(others))
    if other:
        place = _span(data, generator).start
        data[place:place] = other[_span(other, generator)]


def _cut(data: bytearray, _: list[bytes], generator: random.Random) -> None:
    del data[generator.randrange(len(data)) :]


_BYTE_CHANGES = (_flip_bit, _flip_bit, _set_bytes, _set_bytes, _zero, _noise, _remove, _repeat, _insert, _cut)


def mutated_json(text: str, generator: random.Random) -> str:
    """Change one to three values of a JSON document: numbers, texts, types, and keys that are missing or new."""
    tree = json.loads(text)
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        tree = _changed(tree, generator)
    return json.dumps(tree, ensure_ascii=generator.random() < 0.5)


def _changed(tree: Any, generator: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    _collect(tree, places)
    if not places:
        return tree
    parent, key = generator.choice(places)
    match generator.randrange(6):
        case 0:
            parent[key] = generator.choice(NUMBERS)
        case 1:
            parent[key] = generator.choice(TEXTS)
        case 2:
            parent[key] = generator.choice((None, True, [], {}, [[]], [None], float("nan"), float("inf")))
        case 3:
            parent[key] = copy.deepcopy(generator.choice(places)[0])
        case 4 if isinstance(parent, dict):
            del parent[key]
        case 4:
            parent.insert(key, copy.deepcopy(parent[key]))
        case _ if isinstance(parent, dict):
            parent[generator.choice(TEXTS)] = generator.choice(NUMBERS)
        case _:
            del parent[key]
    return tree


def _collect(tree: Any, places: list[tuple[Any, Any]]) -> None:
    """Add every (container, key) in a tree to `places`."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            places.append((tree, key))
            _collect(value, places)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            places.append((tree, index))
            _collect(value, places)
