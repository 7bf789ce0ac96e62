"""The JSON form that all records share: `suite` is the kind of a file, and `version` the version of its form."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..model.spec import Parity

MAX_IMAGES = 10_000_000
"""The largest number of images that a record can hold."""
MAX_MS = 1e9
"""The longest time that a record can hold, in milliseconds."""
_MAX_BYTES = 1 << 30


def dumps(record: Any, *, indent: int | None = 1) -> str:
    """Return the content of a file that holds a record.

    Args:
        record: dataclasses, mappings, sequences and plain values. The properties that a dataclass names in `DERIVED`
            are written beside its fields; they follow from the fields and are not read back.
        indent: spaces for each level; None: all on one line.

    Raises:
        ValueError: a number is infinite or not a number.
    """
    return json.dumps(plain(record), ensure_ascii=False, indent=indent, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Convert dataclasses, mappings and sequences to values that `json.dumps` accepts."""
    if dataclasses.is_dataclass(value):
        names = (*(field.name for field in dataclasses.fields(value)), *getattr(value, "DERIVED", ()))
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def parse(text: str | bytes, origin: str, versions: Mapping[str, int], writer: str) -> dict[str, Any]:
    """Parse the JSON object of a record.

    Args:
        text: content of the file.
        origin: name of the file, for messages.
        versions: suite → the version of its form that can be read.
        writer: name of the program that writes such a file, for messages.

    Raises:
        InputError: the text is not JSON, or its suite or version cannot be read.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin}: not JSON ({error}); name a file that {writer} wrote") from error
    suite = data.get("suite") if isinstance(data, dict) else None
    if not isinstance(suite, str) or suite not in versions:
        suites = ", ".join(map(repr, versions))
        raise InputError(
            f"{origin}: found suite {repr(suite)[:100]}, expected {suites}; name a file that {writer} wrote"
        )
    version = data.get("version")
    if type(version) is not int or version != versions[suite]:
        raise InputError(
            f"{origin}: found version {version!r} of {suite!r}, expected {versions[suite]}; update edge-crnn or measure"
            " again"
        )
    return dict(data)


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def read(path: Path, writer: str) -> bytes:
    """Return the content of a file of results.

    Raises:
        InputError: the file cannot be read, or is too large for results.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(f"{path}: found {size:,} bytes, expected at most {_MAX_BYTES:,}; name another file")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file that {writer} wrote") from error


def is_possible(parity: Parity) -> bool:
    """Return whether the counts and shares of a verdict can be true together."""
    low, high = parity.accuracy_change_interval or (0, 0)
    if not (0 <= parity.gate_agreement <= 1 and 0 <= parity.gate_accuracy <= 100 and -100 <= low <= high <= 100):
        return False
    return bool(parity.sets) and all(
        0 <= counts.same_where_right <= counts.reference_right <= counts.images
        and 0 <= counts.artifact_right <= counts.images
        and 0 <= counts.same_text <= counts.images
        and 0 < counts.images <= MAX_IMAGES
        for counts in parity.sets
    )
