"""Parquet files with the bytes of image files in a column.

The column is binary, or a structure whose field `bytes` is, as Hugging Face's `Image` feature stores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import BackendUnavailable, DatasetError, InputError
from .shard import opened
from .storage import File

_BATCH = 64
"""Rows that are in memory at a time."""


def row_counts(file: File, folder: str, column: str) -> tuple[int, ...]:
    """Return the number of rows in every row group, from the end of the file, which also names the columns.

    Raises:
        DatasetError: the file is missing, has changed, or is no Parquet file.
        InputError: it has no such column, or the column has no bytes.
        BackendUnavailable: pyarrow is not installed.
    """
    with _table(file, folder) as table:
        _is_nested(file, table.schema_arrow, column)
        groups = table.metadata
        return tuple(groups.row_group(number).num_rows for number in range(groups.num_row_groups))


def images(file: File, folder: str, column: str, start: int, stop: int) -> Iterator[tuple[str, bytes | None]]:
    """Yield the name and the bytes of the images in rows `start` to `stop - 1`; None if the row has none.

    Raises:
        DatasetError: the file is missing, has changed, or is no Parquet file.
        InputError: it has no such column, or the column has no bytes.
        BackendUnavailable: pyarrow is not installed.
    """
    with _table(file, folder) as table:
        is_nested = _is_nested(file, table.schema_arrow, column)
        first, groups = _groups(table.metadata, start, stop)
        row = first
        columns = [f"{column}.bytes" if is_nested else column]
        for batch in table.iter_batches(_BATCH, row_groups=groups, columns=columns):
            values = batch.column(0).field("bytes") if is_nested else batch.column(0)
            for value in values:
                if start <= row < stop:
                    yield f"{file.path}#{row}", value.as_py()
                row += 1
            if row >= stop:
                break


def _groups(metadata: Any, start: int, stop: int) -> tuple[int, list[int]]:
    """Return the first row of the row groups that have rows `start` to `stop - 1`, and the groups."""
    first = 0
    row = 0
    groups: list[int] = []
    for number in range(metadata.num_row_groups):
        count = metadata.row_group(number).num_rows
        if row < stop and row + count > start and count:
            if not groups:
                first = row
            groups.append(number)
        row += count
    return first, groups


def _is_nested(file: File, schema: Any, column: str) -> bool:
    """Check the column; return whether the bytes are in a field of it."""
    import pyarrow as pa

    names = schema.names
    if column not in names:
        raise InputError(f"{file.path}: has no column {column!r}, found {', '.join(names)}; name one with --column")
    kind = schema.field(column).type
    is_nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    if is_nested:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise InputError(
            f"{file.path}: column {column!r} has {kind}, expected the bytes of image files; name another with --column"
        )
    return bool(is_nested)


@contextmanager
def _table(file: File, folder: str) -> Iterator[Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise BackendUnavailable(
            f"{file.path}: needs pyarrow, which is not installed; pip install 'edge-crnn[scale]'"
        ) from error
    with opened(file, folder) as stream:
        try:
            with parquet.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20) as table:
                yield table
        except pa.ArrowException as error:
            raise DatasetError(f"{file.path}: is no Parquet file, or is damaged ({error}); copy it again") from error
