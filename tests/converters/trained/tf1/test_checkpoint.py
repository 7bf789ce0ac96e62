"""The reader of TensorFlow's checkpoints: as TensorFlow's own on real files; one clear error on forged ones."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.trained.tf1.checkpoint import Checkpoint, find_checkpoint
from converters.trained.tf1.crc32c import crc32c, masked
from edge_crnn.errors import ModelFileError
from tests.budget import examples

KERNEL = np.arange(12, dtype=np.float32).reshape(4, 3)
STEP = np.array(1000, np.int64)


# A writer, as small as can be.


def varint(value: int) -> bytes:
    head, value = value & 127, value >> 7
    return bytes([head | 128]) + varint(value) if value else bytes([head])


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """Encode a message: numbers as varints, but field 6 as fixed32; bytes with their length."""
    data = b""
    for number, value in fields:
        if isinstance(value, bytes):
            data += varint(number << 3 | 2) + varint(len(value)) + value
        elif number == 6:
            data += varint(number << 3 | 5) + value.to_bytes(4, "little")
        else:
            data += varint(number << 3) + varint(value)
    return data


def block(entries: Mapping[bytes, bytes]) -> bytes:
    data = b""
    last = b""
    for key, value in entries.items():
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(last, key, strict=False)))
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return data + bytes(4) + (1).to_bytes(4, "little")


def closed(content: bytes, kind: int = 0) -> bytes:
    """A block with its trailer."""
    content += bytes([kind])
    return content + masked(crc32c(content)).to_bytes(4, "little")


def table(*blocks: bytes, index: bytes | None = None, kind: int = 0) -> bytes:
    data = b""
    handles = {}
    for content in blocks:
        handles[b"%08d" % len(data)] = varint(len(data)) + varint(len(content))
        data += closed(content, kind)
    index = block(handles) if index is None else index
    meta = (len(data), 8)
    place = (len(data) + 13, len(index))
    data += closed(block({})) + closed(index)
    footer = b"".join(map(varint, (*meta, *place)))
    return data + footer + bytes(40 - len(footer)) + (0xDB4775248B80FB57).to_bytes(8, "little")


def entry(array: np.ndarray, offset: int = 0, dtype: int = 1, **changes: Any) -> bytes:
    shape = b"".join(message((2, message((1, size)))) for size in changes.get("shape", array.shape))
    checksum = changes.get("checksum", masked(crc32c(array.tobytes())))
    fields = [(1, dtype), (2, shape), (3, changes.get("shard", 0)), (4, offset), (5, changes.get("size", array.nbytes))]
    return message(*fields, (6, checksum), *changes.get("more", ()))


HEADER = message((1, 1), (3, message((1, 1))))


def plain(**changes: Any) -> dict[bytes, bytes]:
    return {b"": HEADER, b"a/kernel": entry(KERNEL, **changes), b"step": entry(STEP, 48, 9)}


def write(folder: Path, index: bytes, data: bytes = KERNEL.tobytes() + STEP.tobytes(), shards: int = 1) -> Path:
    (folder / "m.index").write_bytes(index)
    (folder / f"m.data-00000-of-{shards:05d}").write_bytes(data)
    return folder / "m.index"


def test_a_file_made_by_hand(tmp_path: Path) -> None:
    checkpoint = Checkpoint(write(tmp_path, table(block(plain()))))
    assert checkpoint.shapes == {"a/kernel": (4, 3), "step": ()}
    array = checkpoint.array("a/kernel")
    np.testing.assert_array_equal(array, KERNEL)
    assert array.flags.writeable


@pytest.mark.parametrize("name", ["fresh", "odd"])
def test_real_files_read_as_tensorflow_reads_them(checkpoints: Path, keras: Any, name: str) -> None:
    import tensorflow

    path = find_checkpoint(checkpoints / name)
    assert path is not None
    checkpoint = Checkpoint(path)
    expected = tensorflow.train.load_checkpoint(str(path.with_suffix("")))
    shapes = {name: tuple(shape) for name, shape in expected.get_variable_to_shape_map().items()}
    assert checkpoint.shapes == shapes
    assert len(shapes) > 40
    for variable, dtype in expected.get_variable_to_dtype_map().items():
        values = expected.get_tensor(variable)
        if variable == "parts":
            with pytest.raises(ModelFileError, match="'parts' is stored in parts"):
                checkpoint.array(variable)
        elif dtype != tensorflow.float32:
            with pytest.raises(
                ModelFileError, match=f"'{variable}' has TensorFlow's type {dtype.as_datatype_enum}, exp"
            ):
                checkpoint.array(variable)
        elif not np.isfinite(values).all():
            with pytest.raises(ModelFileError, match=f"'{variable}' has 2 values that are not finite"):
                checkpoint.array(variable)
        else:
            np.testing.assert_array_equal(checkpoint.array(variable), values)


def test_many_blocks(tmp_path: Path) -> None:
    names = [b"layer_%03d/kernel" % number for number in range(300)]
    blocks = [block({b"": HEADER})]
    blocks += [block({name: entry(KERNEL) for name in names[at : at + 50]}) for at in range(0, 300, 50)]
    checkpoint = Checkpoint(write(tmp_path, table(*blocks)))
    assert list(checkpoint.shapes) == [name.decode() for name in names]


# Which checkpoint.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, table(block(plain())))
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "m"\nall_model_checkpoint_paths: "m"\n')
    return tmp_path


@pytest.mark.parametrize("name", ["", "m", "m.index", "m.data-00000-of-00001", "m.meta"])
def test_ways_to_name_it(folder: Path, name: str) -> None:
    assert find_checkpoint(folder / name) == folder / "m.index"


@pytest.mark.parametrize("name", ["n", "n.index", "checkpoint", "m.data", "m.index.json", ".index", "n/m"])
def test_missing_checkpoint_is_refused(folder: Path, name: str) -> None:
    assert find_checkpoint(folder / name) is None
    (folder / "m").write_bytes(b"a file of that name")
    assert find_checkpoint(folder / "m") is None


def test_names_that_are_too_long(folder: Path) -> None:
    assert find_checkpoint(folder / ("n" * 252)) is None
    assert find_checkpoint(folder / ("n" * 1000)) is None
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{"n" * 1000}"')
    assert find_checkpoint(folder) is None


def test_folder_without_list(tmp_path: Path) -> None:
    write(tmp_path, table(block(plain())))
    assert find_checkpoint(tmp_path) is None


@pytest.mark.parametrize("path", ["/gone/m", "../m", "m", "../../m", "x/../m"])
def test_the_list_never_leads_out_of_the_folder(folder: Path, path: str) -> None:
    (folder / "inner").mkdir()
    shutil.copy(folder / "m.index", folder / "inner" / "m.index")
    (folder / "inner" / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
    assert find_checkpoint(folder / "inner") == folder / "inner" / "m.index"
    (folder / "inner" / "m.index").unlink()
    with pytest.raises(ModelFileError, match=r"of which there is no index in .*inner; name the checkpoint itself"):
        find_checkpoint(folder / "inner")


@pytest.mark.parametrize("text", [b"", b"model_checkpoint_path: ..", b'model_checkpoint_path: ".."\n', b"\xff\0" * 99])
def test_malformed_list_is_refused(folder: Path, text: bytes) -> None:
    (folder / "checkpoint").write_bytes(text)
    with pytest.raises(ModelFileError, match="name the checkpoint itself"):
        find_checkpoint(folder)


def test_list_of_absurd_size(folder: Path) -> None:
    os.truncate(folder / "checkpoint", 1 << 40)
    with pytest.raises(ModelFileError, match="checkpoint is no file, or has 1,099,511,627,776 bytes"):
        find_checkpoint(folder)


# What is refused.


def refused(read: Callable[[], object]) -> str:
    with pytest.raises(ModelFileError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


TABLES = {
    "nothing": (b"", "last bytes"),
    "no table": (b"no table at all " * 9, "last bytes"),
    "no header": (table(block({b"a": entry(KERNEL)})), "names 0 data files"),
    "no blocks": (table(), "names 0 data files"),
    "big-endian": (table(block({b"": message((1, 1), (2, 1))})), "byte order 1"),
    "too many shards": (table(block({b"": message((1, 10**9))})), "names 1000000000 data files"),
    "compressed": (table(block(plain()), kind=1), "compressed"),
    "another shard": (table(block(plain(shard=1))), "in data file 1"),
    "many axes": (table(block(plain(shape=(1,) * 10_000))), "of shape (1, 1, 1, 1, 1, 1, 1, 1)"),
    "negative size": (table(block(plain(shape=(2**64 - 1,)))), "of shape"),
    "negative offset": (table(block(plain(offset=2**64 - 1))), "of shape"),
    "wrong wire type": (table(block({b"": HEADER, b"a": message((1, b"x"))})), "field 1 of wire type 2"),
    "group": (table(block({b"": HEADER, b"a": b"\x0b"})), "wire type 3"),
    "field without end": (table(block({b"": HEADER, b"a": b"\x12\x7f"})), "a field without end"),
    "number without end": (table(block({b"": HEADER, b"a": b"\x08" + b"\xff" * 20})), "a number without end"),
    "no UTF-8": (table(block({b"": HEADER, b"\xff": entry(KERNEL)})), "utf-8"),
    "not in order": (table(block({b"": HEADER, b"b": b"", b"a": b""})), "not in order"),
    "twice": (table(block({b"": HEADER}), block({b"": HEADER})), "not in order"),
    "same block twice": (table(block(plain()), index=block({b"a": b"\0\x40", b"b": b"\0\x40"})), "checksum"),
    "key of keys": (table(varint(5) + b"\0\0" + bytes(8)), "an entry of the block"),
    "long key": (table(block({b"x" * 2000: b""})), "an entry of the block"),
    "restarts without end": (table(bytes(3) + b"\xff" * 4), "the end of the block"),
    "block outside": (table(index=block({b"a": varint(1 << 40) + varint(8)})), "block at 1099511627776"),
    "endless block": (table(index=block({b"a": varint(0) + varint(1 << 62)})), "bytes"),
    "empty block": (table(index=block({b"a": b"\0\0"})), "block at 0 of 0 bytes"),
}


@pytest.mark.parametrize("case", TABLES)
def test_malformed_index_is_refused(tmp_path: Path, case: str) -> None:
    index, words = TABLES[case]
    message = refused(lambda: Checkpoint(write(tmp_path, index)))
    assert message.startswith("m.index is no index of a TensorFlow checkpoint, or damaged (")
    assert words in message


def test_overlapping_blocks(tmp_path: Path) -> None:
    content = block(plain())
    twice = varint(0) + varint(len(content))
    index = write(tmp_path, table(content, index=block({b"a": twice, b"b": twice})))
    assert "overlap" in refused(lambda: Checkpoint(index))


@pytest.mark.thorough
def test_bounded_numbers_of_names_and_blocks(tmp_path: Path) -> None:
    """Few bytes can make many long names: each shares its start with the one before."""
    long = b"x" * 1000
    many = {b"": HEADER, **{long + b"%06d" % number: b"" for number in range(20_000)}}
    assert "too many" in refused(lambda: Checkpoint(write(tmp_path, table(block(many)))))
    blocks = [block({b"": HEADER}), *(block({b"%06d" % number: b""}) for number in range(1100))]
    assert "too many" in refused(lambda: Checkpoint(write(tmp_path, table(*blocks))))


def test_index_of_absurd_size(tmp_path: Path) -> None:
    index = write(tmp_path, table(block(plain())))
    os.truncate(index, 1 << 40)
    assert "has 1,099,511,627,776 bytes; at most 1,048,576 are read" in refused(lambda: Checkpoint(index))
    index.unlink()
    assert "No such file" in refused(lambda: Checkpoint(index))


TERABYTES = (10**7, 10**6)
VARIABLES = {
    "10 TB": (plain(shape=TERABYTES, size=4 * math.prod(TERABYTES)), "and at most 2,147,483,648 in all"),
    "10 TB of no bytes": (plain(shape=TERABYTES, size=0), "claims 0 bytes, expected 40,000,000,000,000"),
    "other size": (plain(size=44), "claims 44 bytes, expected 48"),
    "over the end": (plain(offset=16), "m.data-00000-of-00001 ends before byte 64"),
    "far over the end": (plain(offset=1 << 61), "ends before byte"),
    "1 GB in a small file": (plain(shape=(1 << 14, 1 << 14), size=1 << 30), "ends before byte 1,073,741,824"),
    "checksum": (plain(checksum=7), "'a/kernel' does not fit its checksum"),
    "sliced": (plain(more=[(7, b"")]), "stored in parts"),
    "text": (plain(dtype=7), "type 7, expected 1 (float32)"),
    "resource": (plain(dtype=20), "type 20"),
    "reference": (plain(dtype=101), "type 101"),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_variables_that_are_refused(tmp_path: Path, case: str) -> None:
    entries, words = VARIABLES[case]
    checkpoint = Checkpoint(write(tmp_path, table(block(entries))))
    assert words in refused(lambda: checkpoint.array("a/kernel"))


def test_no_such_variable(folder: Path) -> None:
    checkpoint = Checkpoint(folder / "m.index")
    assert "no variable 'b' in m.index" in refused(lambda: checkpoint.array("b"))


def test_bounded_bytes_in_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.trained.tf1.checkpoint.MAX_BYTES", 100)
    checkpoint = Checkpoint(folder / "m.index")
    assert checkpoint.array("a/kernel").shape == checkpoint.array("a/kernel").shape
    assert "and at most 100 in all" in refused(lambda: checkpoint.array("a/kernel"))


def test_malformed_data_file_is_refused(folder: Path) -> None:
    data = folder / "m.data-00000-of-00001"
    checkpoint = Checkpoint(folder / "m.index")
    data.unlink()
    assert "m.data-00000-of-00001 cannot be read (No such file" in refused(lambda: checkpoint.array("a/kernel"))
    os.mkfifo(data)
    assert "is no file" in refused(lambda: checkpoint.array("a/kernel"))


# Any damage at all.


def reads(index: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays, or None if the checkpoint is refused; any other error ends the test."""
    try:
        checkpoint = Checkpoint(index)
        return {name: checkpoint.array(name) for name in checkpoint.shapes if name != "step"}
    except ModelFileError:
        return None


@pytest.mark.thorough
def test_every_byte_flipped_and_every_end_cut_off(tmp_path: Path) -> None:
    """Refused, or harmless."""
    whole = table(block(plain()))
    data = KERNEL.tobytes() + STEP.tobytes()
    harmless = 0
    for at in range(len(whole)):
        assert reads(write(tmp_path, whole[:at])) is None
        for bit in (1, 16, 128):
            variables = reads(write(tmp_path, whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]))
            if variables is not None:
                harmless += 1
                np.testing.assert_array_equal(variables["a/kernel"], KERNEL)
    assert harmless <= 3 * (13 + 40)  # in the unused block of metadata and the padding of the footer
    for at in range(len(data)):
        variables = reads(write(tmp_path, whole, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))
        assert (variables is None) == (at < KERNEL.nbytes)
        assert (reads(write(tmp_path, whole, data[:at])) is None) == (at < KERNEL.nbytes)


def test_every_byte_of_a_real_index(checkpoints: Path, tmp_path: Path) -> None:
    path = checkpoints / "fresh" / "model.index"
    whole = path.read_bytes()
    shapes = Checkpoint(path).shapes
    index = tmp_path / "m.index"
    for at in range(0, len(whole), 3):
        index.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        with contextlib.suppress(ModelFileError):
            assert Checkpoint(index).shapes == shapes


@pytest.mark.thorough
@settings(deadline=None, max_examples=examples(300))
@given(data=st.data())
def test_forged_blocks_whose_checksums_hold(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(block(plain()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(max_size=3))
    folder = tmp_path_factory.mktemp("forged")
    index = data.draw(st.one_of(st.none(), st.binary(max_size=40)))
    reads(write(folder, table(bytes(content), index=index)))


@settings(deadline=None, max_examples=examples(300))
@given(header=st.binary(max_size=20), value=st.binary(max_size=60))
def test_forged_messages(tmp_path_factory: pytest.TempPathFactory, header: bytes, value: bytes) -> None:
    folder = tmp_path_factory.mktemp("forged")
    reads(write(folder, table(block({b"": HEADER + header, b"a": value}))))
