"""The process that has the HDF5 library: what a file does to it is one error here, and the next file is read."""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.trained.hdf5 import client
from converters.trained.hdf5.client import Hdf5
from edge_crnn.errors import BackendUnavailable, ModelFileError

pytestmark = pytest.mark.thorough

h5py = pytest.importorskip("h5py")

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def hdf5_bytes(build: Callable[[Any], None]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        build(file)
    return buffer.getvalue()


def fill(file: Any) -> None:
    file["group/one"] = ARRAY
    file["group/inner/two"] = ARRAY.astype(">f8")
    file["group"].attrs["name"] = "나무"
    file.attrs.update({"model_config": '{"a": 1}', "bytes": np.bytes_(b"abc"), "names": [b"one", b"two"]})


PLAIN = hdf5_bytes(fill)


def reads(data: bytes = PLAIN) -> None:
    with Hdf5(data) as tree:
        np.testing.assert_array_equal(tree.array("group/one", (2, 3)), ARRAY)


def failed(data: bytes, words: str = "the HDF5 library failed on it|HDF5 cannot read") -> None:
    with pytest.raises(ModelFileError, match=words):
        reads(data)


def test_arrays_and_attributes_are_read() -> None:
    with Hdf5(PLAIN) as tree:
        assert tree.names("") == ("group",)
        assert tree.names("/group/") == ("inner", "one")
        assert tree.names("gone") == tree.names("group/one") == tree.arrays("gone") == ()
        assert tree.arrays("group") == ("group/inner/two", "group/one")
        assert tree.text("group", "name") == "나무"
        assert (tree.text("", "model_config"), tree.text("", "bytes")) == ('{"a": 1}', "abc")
        assert tree.text("", "gone") is tree.text("gone", "name") is tree.shape("gone") is tree.shape("group") is None
        assert tree.shape("group/inner/two") == (2, 3)
        for path in ("group/one", "group/inner/two"):
            array = tree.array(path, (2, 3))
            assert array.dtype == np.dtype("=f4")
            np.testing.assert_array_equal(array, ARRAY)
        with pytest.raises(ModelFileError, match="attribute 'names' of '' is an array"):
            tree.text("", "names")
        with pytest.raises(ModelFileError, match=r"has shape \(2, 3\)"):
            tree.array("group/one", (3, 2))
        np.testing.assert_array_equal(tree.array("group/one", (2, 3)), ARRAY)  # an error does not end it


@settings(deadline=None)
@given(
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=50), name=st.text(max_size=9)
)
def test_any_values_and_names(values: list[float], name: str) -> None:
    if "\0" in name or "/" in name or name in ("", "."):
        return
    array = np.array(values, np.float32)
    with Hdf5(hdf5_bytes(lambda file: file.create_dataset(name, data=array))) as tree:
        assert tree.names("") == (name,)
        np.testing.assert_array_equal(tree.array(name, array.shape), array)


def test_many_bytes() -> None:
    array = np.random.default_rng(1).normal(size=(1000, 3000)).astype(np.float32)
    with Hdf5(hdf5_bytes(lambda file: file.create_dataset("a", data=array))) as tree:
        np.testing.assert_array_equal(tree.array("a", array.shape), array)


# What a file does to the library. Found by changing bytes at random; each alone suffices with HDF5 1.14.6.


def crash(data: bytes = PLAIN) -> bytes:
    """A text that nobody asks for (Keras would) is of a kind that there is not: the library follows a wild pointer."""
    forged = bytearray(data)
    kind = forged.index(b"model_config\0") + 16 + 1  # the name is padded to 16 bytes, then comes its datatype
    assert forged[kind] == 1
    forged[kind] = 15
    return bytes(forged)


def loop(data: bytes = PLAIN) -> bytes:
    """A heap of texts has an entry of no length, over which the library never gets."""
    start = data.index(b"GCOL\1") + 16
    return data[:start] + bytes(16) + data[start + 16 :]


def circle(data: bytes = PLAIN) -> bytes:
    """The list of what is free in a heap of names leads back to its start."""
    heap = data.index(b"HEAP\0")
    first = data[heap + 16 : heap + 24]
    at = int.from_bytes(data[heap + 24 : heap + 32], "little") + int.from_bytes(first, "little")
    assert int.from_bytes(data[at : at + 8], "little") == 1  # the last block
    return data[:at] + first + data[at + 8 :]


@pytest.mark.parametrize("forge", [crash, loop])
def test_crash_or_loop_is_one_error_and_the_next_file_is_read(forge: Callable[[], bytes]) -> None:
    reads()
    failed(forge())
    reads()


def test_memory_without_end() -> None:
    failed(circle(), "memory")
    reads()


def test_crash_while_another_file_is_open() -> None:
    with Hdf5(PLAIN) as tree:
        failed(crash())
        np.testing.assert_array_equal(tree.array("group/one", (2, 3)), ARRAY)


def test_listed_but_missing_names_are_refused() -> None:
    """Out of order, a name is not found."""
    at = PLAIN.index(b"inner\0")
    failed(PLAIN[:at] + b"z" + PLAIN[at + 1 :], "lists '/group/.*', but does not have it")


def test_texts_without_end() -> None:
    def build(file: Any) -> None:
        for number in range(300):
            file[f"a{number}"] = 1.0
            file[f"a{number}"].attrs["text"] = np.bytes_(b"x" * 60_000)

    failed(hdf5_bytes(build), "bytes of text")


# The process.


def fork_of_server() -> int:
    """The process that serves the one open file."""
    server = client._server._process
    assert server is not None
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    if not children.exists():
        pytest.skip("needs /proc")
    (fork,) = children.read_text().split()
    return int(fork)


@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGXCPU, signal.SIGALRM])
def test_any_sudden_end_is_one_error(end: signal.Signals) -> None:
    client._server.stop()
    with Hdf5(PLAIN) as tree:
        os.kill(fork_of_server(), end)
        with pytest.raises(ModelFileError, match="the HDF5 library failed on it, or took too much memory or time"):
            tree.array("group/one", (2, 3))
    reads()


def test_a_request_that_nobody_reads_is_one_error_also_when_the_file_is_closed() -> None:
    client._server.stop()
    with Hdf5(PLAIN) as tree:
        fork = fork_of_server()
        os.kill(fork, signal.SIGKILL)
        while Path(f"/proc/{fork}").exists():
            time.sleep(0.01)
        with pytest.raises(ModelFileError, match="the HDF5 library failed on it"):
            tree.array("group/one", (2, 3))


def test_time_counts_while_an_answer_is_awaited_and_not_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    client._server.stop()
    hasty = "from converters.trained.hdf5 import process; process._WALL = 0.3; from converters.trained.hdf5.process"
    monkeypatch.setattr(client, "_START", client._START.replace("from converters.trained.hdf5.process", hasty))
    with Hdf5(PLAIN) as tree:
        threading.Event().wait(2)
        assert tree.names("group") == ("inner", "one")
    failed(loop(), "too much memory or time")
    client._server.stop()


def test_it_can_open_no_file_and_little_memory(tmp_path: Path) -> None:
    """A serving process reports its limits."""
    client._server.stop()
    with Hdf5(PLAIN):
        limits = Path(f"/proc/{fork_of_server()}/limits").read_text()
    by_name = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()[1:]}
    assert by_name["Max open files"] == by_name["Max file size"] == by_name["Max core file size"] == ["0", "0"]
    assert int(by_name["Max address space"][0]) < 4 << 30
    assert int(by_name["Max cpu time"][1]) < 10


def test_no_process_is_left_when_a_file_is_closed() -> None:
    client._server.stop()
    with Hdf5(PLAIN):
        fork = Path(f"/proc/{fork_of_server()}")
    for _ in range(1000):
        if not fork.exists():
            return
        threading.Event().wait(0.01)
    pytest.fail("it lives on")


def test_killed_server_is_restarted() -> None:
    reads()
    before = client._server._process
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    before.wait()
    reads()
    assert client._server._process is not before


def test_many_threads_at_once() -> None:
    client._server.stop()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            reads()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_without_fork_each_file_has_a_process_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FORKS", False)
    monkeypatch.setattr(client, "_START", f"import sys; sys.modules['os'].__dict__.pop('fork'); {client._START}")
    reads()
    failed(crash())


def test_without_h5py(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "h5py" else real(name))
    with pytest.raises(BackendUnavailable, match=r"needs h5py: pip install 'edge-crnn\[convert\]'"):
        Hdf5(PLAIN)


def test_a_process_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    client._server.stop()
    monkeypatch.setattr(client, "_START", "raise SystemExit(1)")
    with pytest.raises(BackendUnavailable, match="it ended at once"):
        Hdf5(PLAIN)
    monkeypatch.undo()
    reads()


def test_malformed_answer_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has the process in its hands can send data, no more."""
    with Hdf5(PLAIN) as tree:
        for answer in (b"", b"nonsense\n", b'{"result": null}\n', b'{"result": null}\n1234'):
            tree._reader = io.BytesIO(answer)
            with pytest.raises(ModelFileError, match="the HDF5 library failed on it"):
                tree.array("group/one", (2, 3))
