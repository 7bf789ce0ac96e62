"""The program as a process: streams that are closed, full or not read, signals, and full disks."""

from __future__ import annotations

import errno
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn import __version__
from edge_crnn.cli.main import main
from tests.edge_crnn.cli.test_main import HERE, PROGRAM, ran

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize(
    ("closed", "status"), [(">&-", 1), ("2>&-", 0), (">&- 2>&-", 1), ("<&- >&-", 1), ("<&- 2>&-", 0)]
)
def test_a_stream_that_is_closed_from_the_start(closed: str, status: int, tiny_artifact: Path) -> None:
    """Results must not be lost with status 0; messages may be."""
    program = f"{shlex.quote(sys.executable)} -m edge_crnn info {shlex.quote(str(tiny_artifact))}"
    ended = subprocess.run(["sh", "-c", f"{program} {closed}"], capture_output=True, text=True, check=False)
    assert ended.returncode == status
    if status and "2>&-" not in closed:
        assert ended.stderr.startswith(f"edge-crnn info: cannot write ({os.strerror(errno.EBADF)})")
        assert ended.stderr.count("\n") == 1
    else:
        assert ended.stderr == ""


def test_a_closed_stdout_does_not_matter_to_a_command_without_results(tmp_path: Path) -> None:
    words = f"serve-folder {shlex.quote(str(tmp_path))} --once -o {shlex.quote(str(tmp_path / 'readings.jsonl'))}"
    program = f"{shlex.quote(sys.executable)} -m edge_crnn {words} >&-"
    assert subprocess.run(["sh", "-c", program], capture_output=True, check=False).returncode == 0


def test_the_program(tiny_artifact: Path) -> None:
    assert ran("--version").stdout == f"edge-crnn {__version__}\n"
    unknown = ran("fly")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    missing = ran("info", "missing.tflite")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("edge-crnn info: missing.tflite: cannot be read (No such file or directory)")
    assert missing.stderr.count("\n") == 1
    shown = ran("info", tiny_artifact, env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (shown.returncode, shown.stderr) == (0, "")  # and nothing of the engine's own chatter
    assert "32 × 16" in shown.stdout


def test_engines_may_chatter_where_that_is_wanted(tiny_artifact: Path) -> None:
    shown = ran("info", tiny_artifact, env={**os.environ, "EDGE_CRNN_VERBOSE": "1"})
    assert shown.returncode == 0
    assert "XNNPACK delegate" in shown.stderr


@pytest.fixture
def long_job(tiny_artifact: Path, tmp_path: Path) -> list[str]:
    """Words that keep `read` at work for many seconds."""
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes())
    return [*PROGRAM, "read", "--model", str(tiny_artifact), "--format", "jsonl", *["a.png"] * 60_000]


def started(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout is not None
    if b"a.png" not in process.stdout.readline():
        _, errors = process.communicate(timeout=60)
        pytest.fail(f"ended with {process.returncode} before its first line; said {errors.decode()!r}")
    return process


def test_ctrl_c_ends_it_with_one_line(long_job: list[str], tmp_path: Path) -> None:
    process = started(long_job, tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors == b"edge-crnn read: interrupted\n"
    assert process.returncode == 130


def test_a_closed_pipe_ends_it_quietly(long_job: list[str], tmp_path: Path) -> None:
    process = started(long_job, tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `| head -1` does
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == 141


@pytest.mark.parametrize("words", [("--help",), ("info",)])
def test_a_pipe_that_nobody_reads(words: tuple[str, ...], tiny_artifact: Path) -> None:
    source, sink = os.pipe()
    os.close(source)
    model = (tiny_artifact,) if words == ("info",) else ()
    with subprocess.Popen([*PROGRAM, *words, *model], stdout=sink, stderr=subprocess.PIPE) as process:
        os.close(sink)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_results_that_find_no_room(tiny_artifact: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, "info", tiny_artifact], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert ended.stderr == b"edge-crnn info: cannot write (No space left on device); make room\n"
    assert ended.returncode == 1


FULL = {
    "info": ["info", "MODEL"],
    "JSON": ["info", "MODEL", "--format", "json"],
    "read": ["read", "--model", "MODEL", "a.png"],
    "help": ["--help"],
    "help of a command": ["read", "--help"],
    "version": ["--version"],
    "completion": ["completion", "bash"],
}


@pytest.mark.parametrize("words", FULL.values(), ids=FULL)
def test_a_full_disk_is_an_error_of_every_command(words: list[str], tiny_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes())
    words = [str(tiny_artifact) if word == "MODEL" else word for word in words]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60, cwd=tmp_path, env=HERE
        )
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1
    assert b"cannot write (No space left on device); make room" in ended.stderr


def test_a_file_that_must_not_grow_is_an_error_too(long_job: list[str], tmp_path: Path) -> None:
    """A quota or a failing disk has the same effect."""
    words = ["sh", "-c", 'ulimit -f 1; exec "$@" > out', "sh", *long_job]
    ended = subprocess.run(words, stderr=subprocess.PIPE, check=False, timeout=60, cwd=tmp_path, env=HERE)
    assert ended.returncode == 1
    assert ended.stderr == b"edge-crnn read: cannot write (File too large); send the output elsewhere\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_stream_that_is_non_blocking_gets_every_line(
    stream: str, form: str, tiny_artifact: Path, tmp_path: Path
) -> None:
    """honcho#168: of 500 lines, 64 arrived, and the exit status was 0."""
    name = f"{'x' * 200}.png"
    data = cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes() if stream == "stdout" else b"no picture"
    (tmp_path / name).write_bytes(data)
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    words = [*PROGRAM, "read", "--model", str(tiny_artifact), "--format", form, *[name] * 500]
    other = "stderr" if stream == "stdout" else "stdout"
    with subprocess.Popen(words, cwd=tmp_path, env=HERE, **{stream: sink, other: subprocess.DEVNULL}) as process:  # type: ignore[call-overload]
        while process.poll() is None and select.select([], [sink], [], 0)[1]:  # until the pipe is full
            time.sleep(0.02)
        time.sleep(0.1)
        os.close(sink)
        with os.fdopen(source, "rb") as pipe:
            lines = pipe.read().splitlines()
        assert process.wait(60) == (0 if stream == "stdout" else 1)
    lines_on_stderr = 1 if form == "jsonl" else 501
    expected = 500 if stream == "stdout" else lines_on_stderr
    assert len(lines) == expected


def test_other_processes_keep_a_shared_pipe_non_blocking(tiny_artifact: Path) -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    subprocess.run([*PROGRAM, "info", tiny_artifact], stdout=sink, check=True, timeout=60)
    assert not os.get_blocking(sink)
    os.close(source)
    os.close(sink)


def test_messages_that_find_no_room_do_not_end_the_work(tiny_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes())
    (tmp_path / "b.png").write_bytes(b"no picture")
    words = ["read", "--model", str(tiny_artifact), "b.png", "a.png"]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=full, check=False, timeout=60, cwd=tmp_path, env=HERE
        )
    assert (ended.returncode, ended.stdout.count(b"\n")) == (1, 1)


@pytest.mark.parametrize("name", ["\x1b[31m", "a\x9b31m", "a\u202eb", "a\x07"])
def test_control_characters_of_a_name_are_escaped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", f"{name}.tflite"]) == 1
    errors = capsys.readouterr().err
    assert errors.isprintable() or errors.rstrip("\n").isprintable()
