"""Readings → rows → the bytes of a shard of the output, as JSON lines or Parquet.

| column | type | value |
|---|---|---|
| image | string | path or URL; FILE#ROW in a Parquet file, FILE/MEMBER in a tar file |
| text, label | string or null | see `Reading`; null with an error |
| confidence | float64 or null | see `Reading`; null with an error |
| accepted | bool | false with an error |
| weighted | float64 or null | see `Reading` |
| rescued, damaged | bool | see `Reading` |
| alternatives | list of structures | text, label, confidence, weighted |
| error | string or null | the reason why the image was not read |
| model | string | SHA-256 of the model's payload |
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any, Literal, Protocol, TypeAlias

from ..errors import BackendUnavailable, ImageError
from ..reading import Reading
from ..terminal import printable_json

Row: TypeAlias = dict[str, Any]
Format: TypeAlias = Literal["jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("jsonl", "parquet")

_UNREAD: Row = {
    "text": None,
    "label": None,
    "confidence": None,
    "accepted": False,
    "weighted": None,
    "rescued": False,
    "damaged": False,
    "alternatives": [],
}
_BATCH = 1024
"""Rows that wait as objects before they are packed."""


def row(image: str, result: Reading | ImageError, model: str) -> Row:
    """Return the row of an image.

    Args:
        image: name of the image; bytes of a file name that are not UTF-8 are escaped with backslashes.
        result: its reading or its error.
        model: SHA-256 of the model's payload.
    """
    if isinstance(result, ImageError):
        values = {**_UNREAD, "error": _text(str(result))}
    else:
        values = {name: getattr(result, name) for name in _UNREAD}
        values["alternatives"] = [asdict(alternative) for alternative in result.alternatives]
        values["error"] = None
    return {"image": _text(image), **values, "model": model}


def structure() -> Any:
    """Return Arrow's type of a row without its `image`. Needs pyarrow."""
    import pyarrow as pa

    text = pa.string()
    number = pa.float64()
    alternative = pa.struct([("text", text), ("label", text), ("confidence", number), ("weighted", number)])
    return pa.struct(
        {
            "text": text,
            "label": text,
            "confidence": number,
            "accepted": pa.bool_(),
            "weighted": number,
            "rescued": pa.bool_(),
            "damaged": pa.bool_(),
            "alternatives": pa.list_(alternative),
            "error": text,
            "model": text,
        }.items()
    )


class ShardWriter(Protocol):
    """Collects the rows of a shard."""

    def add(self, row: Row) -> None:
        """Add a row."""

    def finish(self) -> bytes:
        """Return the content of the shard; nothing may be added any more."""


def shard_writer(form: Format) -> ShardWriter:
    """Return a writer for a format.

    Raises:
        BackendUnavailable: the format is Parquet, and pyarrow is not installed.
    """
    return _Lines() if form == "jsonl" else _Table()


class _Lines:
    """JSON lines, all with the same keys in the same order."""

    def __init__(self) -> None:
        self._lines = io.BytesIO()

    def add(self, row: Row) -> None:
        self._lines.write(f"{printable_json(json.dumps(row, ensure_ascii=False))}\n".encode())

    def finish(self) -> bytes:
        return self._lines.getvalue()


class _Table:
    """A Parquet file."""

    def __init__(self) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise BackendUnavailable(
                "Parquet needs pyarrow, which is not installed; pip install 'edge-crnn[scale]', or write jsonl"
            ) from error
        self._schema = pa.schema([pa.field("image", pa.string()), *structure()])
        self._file = io.BytesIO()
        self._writer = parquet.ParquetWriter(self._file, self._schema)
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        if len(self._waiting) == _BATCH:
            self._flush()

    def finish(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._file.getvalue()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._waiting, self._schema))
        self._waiting.clear()


def _text(text: str) -> str:
    """Return text that UTF-8 can spell."""
    return text.encode("utf-8", "backslashreplace").decode()
