"""Plates as keyed hashes, for places where their text must not be kept.

The same plate has the same hash under the same key, so returns can be counted and lists can be compared. There are few
plates, so whoever has the key can find a plate by trying all of them: keep the key secret, and delete it to make the
hashes of the past meaningless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from ...errors import InputError, OutputError
from ..event import Event
from ..protocols import CLOSE_S, Sink
from ..secret_file import create_secret, read_secret

_KEY_BYTES: Final = 32
_MOST_KEY_BYTES: Final = 1024
_DIGITS: Final = 32
"""Hexadecimal digits of a hash: 128 of its 256 bits, more than any number of plates needs."""


class Hashed:
    """Passes events on to a sink with hashes in place of text and label, and without a crop.

    A sink writes no image for an event without a crop.

    Args:
        sink: the sink, which is closed with this one.
        key: the secret, from `load_key`.
    """

    def __init__(self, sink: Sink, key: bytes) -> None:
        self._sink = sink
        self._key = key

    def put(self, event: Event) -> None:
        """Pass an event on."""
        self._sink.put(hashed(event, self._key))

    def close(self, within_s: float = CLOSE_S) -> None:
        """Close the sink."""
        self._sink.close(within_s)


def hashed(event: Event, key: bytes) -> Event:
    """Return an event with a hash in place of its text and label, and an empty crop."""
    digest = hash_of(event.label, key)
    return replace(event, text=digest, label=digest, crop=np.empty((0, 0, 3), np.uint8))


def hash_of(label: str, key: bytes) -> str:
    """Return the hash of a plate: HMAC-SHA256 (RFC 2104) of its label in UTF-8, the first 32 hexadecimal digits."""
    return hmac.new(key, label.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]


def load_key(path: Path) -> bytes:
    """Return the key in a file, which is created with a random key and mode 0600 if it is missing.

    Raises:
        InputError: the file cannot be read, others may read it, or it holds no key.
        OutputError: the file is missing and cannot be created.
    """
    if not path.exists():
        _create(path)
    try:
        key = read_secret(path, "key", _MOST_KEY_BYTES + 1).strip()
    except OSError as error:
        raise InputError(f"{path}: the key cannot be read ({error.strerror}); name a file that you own") from error
    if not _KEY_BYTES <= len(key) <= _MOST_KEY_BYTES:
        raise InputError(
            f"{path}: has {len(key)} bytes, expected a key of {_KEY_BYTES} to {_MOST_KEY_BYTES}; name a new file to"
            " have a key created"
        )
    return key


def _create(path: Path) -> None:
    try:
        create_secret(path, f"{secrets.token_hex(_KEY_BYTES)}\n".encode())
    except OSError as error:
        raise OutputError(
            error.errno,
            f"{path}: no key can be created ({error.strerror}); name a file in a folder that may be written",
        ) from error
