"""Labels in JSON: an object from image to label, a list of objects, or an object in each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import DatasetError
from .row import EXPECTED, Row, columns


def rows(text: str, origin: str) -> Iterator[Row]:
    """Read the rows of `{"name.png": "TEXT", …}` or `[{"image": "name.png", "label": "TEXT"}, …]`.

    Raises:
        DatasetError: the text has another form, has a key twice, or has a value that is not a string.
    """
    data = _parsed(text, origin)
    if isinstance(data, dict):
        for number, (image, label) in enumerate(data.items(), 1):
            yield Row(f"entry {number}", image, _string(label, f"{origin}, entry {number}"))
    elif isinstance(data, list):
        for number, item in enumerate(data, 1):
            yield _row(item, f"entry {number}", origin)
    else:
        raise DatasetError(
            f'{origin}: found {type(data).__name__}, expected an object such as {{"name.png": "TEXT"}} or a list'
        )


def line_rows(text: str, origin: str) -> Iterator[Row]:
    """Read the rows of lines such as `{"image": "name.png", "label": "TEXT"}`.

    Raises:
        DatasetError: a line is not such an object.
    """
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            yield _row(_parsed(line, f"{origin}, line {number}"), f"line {number}", origin)


def _row(data: Any, place: str, origin: str) -> Row:
    keys = list(data) if isinstance(data, dict) else []
    places = columns(keys)
    if places is None:
        raise DatasetError(f"{origin}, {place}: found {_short(data)}, expected an object with {EXPECTED}")
    image, label = (_string(data[keys[at]], f"{origin}, {place}") for at in places)
    return Row(place, image, label)


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DatasetError(f"{where}: found {_short(value)}, expected a string; write it in double quotes")
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _parsed(text: str, origin: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise DatasetError(f"{origin}: {repeated!r} occurs twice; keep one")
        return data

    try:
        return json.loads(text, object_pairs_hook=once)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"{origin}: no JSON ({error}); correct it") from error
    except DatasetError:
        raise
    except ValueError as error:  # a number of too many digits
        raise DatasetError(f"{origin}: no JSON ({error}); correct it") from error
