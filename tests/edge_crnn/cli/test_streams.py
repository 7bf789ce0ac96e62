from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_crnn.cli.streams import Output, StdoutError, open_output, read_all
from edge_crnn.errors import OutputError

SIZE = 1 << 20
"""More bytes than a pipe holds."""


@pytest.mark.parametrize("is_essential", [True, False])
def test_a_pipe_that_is_not_ready_is_waited_for(is_essential: bool) -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    received = bytearray()

    def read_late() -> None:
        time.sleep(0.1)
        while block := os.read(source, 1 << 16):
            received.extend(block)

    thread = threading.Thread(target=read_late)
    thread.start()
    with open_output(sink, is_essential) as stream:
        stream.writelines(f"{n:07}\n" for n in range(SIZE // 8))
    os.close(sink)
    thread.join()
    os.close(source)
    assert received.split() == [b"%07d" % n for n in range(SIZE // 8)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_failing_essential_stream_is_an_error__by_a_fake_disk(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(StdoutError, match=os.strerror(number)) as caught:
        Output(1, is_essential=True).write(b"a result")
    assert isinstance(caught.value, OutputError)
    assert caught.value.errno == number
    assert Output(1, is_essential=False).write(b"a message") == 9


def test_nobody_reads_it() -> None:
    source, sink = os.pipe()
    os.close(source)
    with pytest.raises(BrokenPipeError):
        Output(sink, is_essential=True).write(b"a result")
    assert Output(sink, is_essential=False).write(b"a message") == 9
    os.close(sink)


def test_stream_describes_its_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        with open_output(file.fileno(), is_essential=True) as stream:
            assert stream.fileno() == file.fileno()
            assert stream.writable()
            assert not stream.isatty()
            stream.write(os.fsdecode(b"caf\xe9 ") + "서울")
        os.fstat(file.fileno())  # it is still open
    assert (tmp_path / "out").read_bytes() == b"caf\xe9 " + "서울".encode()


def test_messages_follow_the_results_that_were_printed_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "both").open("wb") as file:
        monkeypatch.setattr(sys, "stdout", open_output(file.fileno(), is_essential=True))
        messages = open_output(file.fileno(), is_essential=False)
        for number in range(3):
            sys.stdout.write(f"result {number}\n")
            messages.write(f"message {number}\n")
        sys.stdout.close()
        messages.write("the end\n")
    lines = [f"{kind} {number}" for number in range(3) for kind in ("result", "message")]
    assert (tmp_path / "both").read_text().splitlines() == [*lines, "the end"]


@pytest.mark.parametrize("stdout", ["a full disk", "a pipe that nobody reads", "nothing"])
def test_message_is_written_whole_even_if_stdout_fails__by_a_fake_disk(
    stdout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = {"a full disk": StdoutError, "a pipe that nobody reads": BrokenPipeError}.get(stdout)
    write = os.write

    def write_or_fail(descriptor: int, data: bytes) -> int:
        if descriptor == 1:
            number = errno.ENOSPC if raised is StdoutError else errno.EPIPE
            raise OSError(number, os.strerror(number))
        return write(descriptor, data)

    with (tmp_path / "messages").open("wb") as file, monkeypatch.context() as patch:
        results = open_output(1, is_essential=True)
        results.write("a result\n")
        patch.setattr(sys, "stdout", results if raised else None)
        patch.setattr(os, "write", write_or_fail)
        messages = open_output(file.fileno(), is_essential=False)
        print("a message", file=messages)  # which writes the end of the line by itself
        if raised is not None:
            with pytest.raises(raised):
                results.flush()
        patch.setattr(os, "write", lambda _, data: len(data))
        results.close()
    assert (tmp_path / "messages").read_text() == "a message\n"


def test_all_of_a_pipe_that_is_not_ready_is_read() -> None:
    source, sink = os.pipe()
    os.set_blocking(source, False)
    data = os.urandom(SIZE)

    def write_late() -> None:
        with os.fdopen(sink, "wb") as pipe:
            for start in range(0, SIZE, 1 << 18):
                time.sleep(0.02)
                pipe.write(data[start : start + (1 << 18)])

    thread = threading.Thread(target=write_late)
    thread.start()
    assert read_all(source, 2 * SIZE) == data
    thread.join()
    os.close(source)


def test_no_more_is_read_than_is_allowed() -> None:
    with Path("/dev/zero").open("rb") as endless:
        assert SIZE <= len(read_all(endless.fileno(), SIZE)) <= 2 * SIZE


@pytest.mark.parametrize("control", [chr(code) for code in range(32) if chr(code) not in "\t\n\r"])
def test_controls_that_nobody_escaped_do_not_reach_the_terminal(tmp_path: Path, control: str) -> None:
    text = json.dumps({"name": control}, ensure_ascii=False)
    with (tmp_path / "out").open("wb") as file, open_output(file.fileno(), is_essential=True) as stream:
        assert stream.write(f"a{control}b\t\r\n") == 6
        stream.write(text)
    assert (tmp_path / "out").read_bytes().decode() == f"a\\x{ord(control):02x}b\t\r\n{text}"
