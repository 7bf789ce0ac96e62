"""Real processes, which are killed."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.cli.main import main
from edge_crnn.cli.serve_folder import add_arguments
from edge_crnn.errors import ImageError
from edge_crnn.images import read_picture

pytestmark = pytest.mark.thorough

PATIENCE_S = 120


def until(happens: Callable[[], object]) -> None:
    late = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < late, "nothing happened"
        time.sleep(0.005)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "readings.jsonl"


@pytest.fixture(scope="session")
def files(tiny_pictures: list[np.ndarray]) -> list[bytes]:
    return [cv2.imencode(".png", picture)[1].tobytes() for picture in tiny_pictures]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(folder: Path, output: Path, tiny_artifact: Path) -> Iterator[Start]:
    """`start(*words, **environment)` starts serve-folder, which is gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object, limit: int | None = None, **environment: str) -> subprocess.Popen[str]:
        words = ("-o", output, "--model", tiny_artifact, "--interval", "0.02", "--workers", "1", *words)
        command = [sys.executable, "-m", "edge_crnn", "serve-folder", str(folder), *map(str, words)]
        if limit is not None:
            command = ["sh", "-c", f'ulimit -f {limit}; exec "$@"', "sh", *command]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def readings(output: Path) -> list[dict[str, object]]:
    data = output.read_bytes() if output.exists() else b""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def names(output: Path) -> list[str]:
    return [Path(str(reading["image"])).name for reading in readings(output)]


def end(process: subprocess.Popen[str], by: signal.Signals | None = None) -> tuple[int, str]:
    if by is not None:
        process.send_signal(by)
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


def test_killed_again_and_again_each_image_has_one_line(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    total = 400
    for n in range(total // 2):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    for kill in range(3):
        before = len(names(output))
        process = start()
        until(lambda before=before: len(names(output)) > before)  # type: ignore[misc]
        for n in range(total // 2 + kill * 60, total // 2 + kill * 60 + 60):  # while it is at work
            (folder / f"{n:03}.png").write_bytes(files[n % 8])
        assert end(process, signal.SIGKILL)[0] == -signal.SIGKILL
        os.truncate(output, output.stat().st_size - 40 * kill)  # as if it were killed within a write
    for n in range(total // 2 + 180, total):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    status, errors = end(start("--once"))
    assert status == 0, errors
    assert sorted(names(output)) == [f"{n:03}.png" for n in range(total)]
    for reading in readings(output):
        assert reading["label"] == tiny_labels[int(Path(str(reading["image"])).stem) % 8]
    before = output.read_bytes()
    assert end(start("--once"))[0] == 0
    assert output.read_bytes() == before


ENDED_BY_A_PICTURE = """
import os, signal, sys
from edge_crnn.cli.main import main
how, *words = sys.argv[1:]
reader = sys.modules['edge_crnn.reader.reader']
load = reader.read_picture
def deadly(image):
    if "deadly" in str(image) or how == "by any":
        if how == "by an exception":
            raise RuntimeError("of a picture")
        os.kill(os.getpid(), signal.SIGKILL)
    return load(image)
reader.read_picture = deadly
sys.exit(main(words))
"""
"""In the place of a decoder that crashes: none is known of today."""


@pytest.fixture
def ended(folder: Path, output: Path, tiny_artifact: Path) -> Callable[[str], int]:
    """`ended(HOW)` is the exit status of a serve-folder that certain pictures end."""

    def run(how: str) -> int:
        words = ["serve-folder", folder, "-o", output, "--model", tiny_artifact, "--interval", "0.01", "--once"]
        command = [sys.executable, "-c", ENDED_BY_A_PICTURE, how, *words]
        return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S).returncode

    return run


@pytest.mark.parametrize(("how", "status"), [("by a kill", -signal.SIGKILL), ("by an exception", 1)])
def test_an_image_that_ends_the_process__by_a_fake_decoder__is_given_up_and_the_others_are_read(
    folder: Path, output: Path, start: Start, files: list[bytes], ended: Callable[[str], int], how: str, status: int
) -> None:
    for n in range(40):
        (folder / f"{n:02}.png").write_bytes(files[n % 8])
    for name in ("10 deadly.png", "11 deadly.png"):
        (folder / name).write_bytes(files[0])
    (folder / "12 none.png").write_bytes(b"no picture")
    for _ in range(3):  # one end among others, and the first of the two alone, twice
        assert ended(how) == status
    assert 10 <= len(names(output)) < 42  # what is read alone has its line at once
    asked = start()  # to stop: nobody forgets
    until(lambda: "which has" in asked.stderr.readline())  # type: ignore[union-attr]
    assert end(asked, signal.SIGTERM)[0] == 0
    while len(names(output)) < 43:
        ended(how)
    assert len(set(names(output))) == 43
    errors = {
        Path(str(reading["image"])).name: str(reading["error"]) for reading in readings(output) if "error" in reading
    }
    assert sorted(errors) in (["10 deadly.png", "12 none.png"], ["10 deadly.png", "11 deadly.png", "12 none.png"])
    assert "the process died 3 times while reading it" in errors["10 deadly.png"]
    assert sorted(path.name for path in output.parent.iterdir()) == ["in", "readings.jsonl"]
    (folder / "10 deadly.png").write_bytes(files[1])  # anew: of another size
    assert end(start("--once"))[0] == 0
    assert names(output)[43:] == ["10 deadly.png"]


def test_where_every_picture_ends_the_process__by_a_fake_decoder__none_is_given_up(
    folder: Path, output: Path, start: Start, files: list[bytes], ended: Callable[[str], int]
) -> None:
    (folder / "0.png").write_bytes(files[0])
    for _ in range(4):
        assert ended("by any") == -signal.SIGKILL
    assert end(start("--once"))[0] == 0
    assert "error" not in readings(output)[0]


def test_an_output_beside_which_no_file_can_be_is_written(
    folder: Path, tmp_path: Path, files: list[bytes], tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / ("x" * 250)  # and nothing may be added to it
    (folder / "0.png").write_bytes(files[0])
    words = ["-o", str(output), "--model", str(tiny_artifact), "--interval", "0.01", "--once"]
    assert main(["serve-folder", str(folder), *words]) == 0
    assert (
        "cannot be opened (File name too long); an image that ends the process is read again" in capsys.readouterr().err
    )
    assert names(output) == ["0.png"]


def test_a_line_says_what_read_says_and_when(
    folder: Path,
    output: Path,
    files: list[bytes],
    tiny_artifact: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "서울 1.png").write_bytes(files[0])
    words = ["--model", str(tiny_artifact), "--n-best", "3", "--min-confidence", "0.5"]
    assert main(["serve-folder", str(folder), "-o", str(output), "--interval", "0.01", "--once", *words]) == 0
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.endswith("edge-crnn serve-folder: 1 images read, 0 failed\n")
    assert main(["read", str(folder), "--format", "jsonl", *words]) == 0
    (reading,) = readings(output)
    status = (folder / "서울 1.png").stat()
    assert time.time() - 3600 < np.datetime64(str(reading.pop("time"))[:-6], "ms").astype(int) / 1000 < time.time() + 1
    assert (reading.pop("size"), reading.pop("mtime_ns")) == (status.st_size, status.st_mtime_ns)
    assert reading == json.loads(capsys.readouterr().out)


def test_images_as_they_come(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    """Renamed into place, written in parts, written anew, hidden, none at all; and the folder goes and comes back."""
    process = start()
    (folder / ".0.png").write_bytes(files[0])
    (folder / "1.png.part").write_bytes(files[1])
    (folder / "notes.txt").write_text("no image")
    (folder / "1.png.part").rename(folder / "1.png")
    until(lambda: len(names(output)) == 1)
    with (folder / "2.png").open("wb") as file:
        for at in range(0, len(files[2]), 20):
            file.write(files[2][at : at + 20])
            file.flush()
    until(lambda: len(names(output)) == 2)
    (folder / "1.png").write_bytes(files[3])
    until(lambda: len(names(output)) == 3)
    away = folder.rename(folder.with_name("away"))
    assert process.stderr is not None
    until(lambda: "cannot be listed (No such file or directory); waiting for it" in process.stderr.readline())  # type: ignore[union-attr]
    (away / "4.png").write_bytes(files[4])
    away.rename(folder)
    until(lambda: len(names(output)) == 4)
    (folder / "5.png").write_bytes(b"no picture")
    until(lambda: len(names(output)) == 5)
    (folder / "6.png").write_bytes(files[6])
    until(lambda: len(names(output)) == 6)
    status, errors = end(process, signal.SIGINT)
    assert status == 0
    assert errors.splitlines()[-1] == "edge-crnn serve-folder: 5 images read, 1 failed"
    assert [(Path(str(reading["image"])).name, reading["label"]) for reading in readings(output)] == [
        *((f"{name}.png", tiny_labels[n]) for name, n in ((1, 1), (2, 2), (1, 3), (4, 4))),
        *(("5.png", None), ("6.png", tiny_labels[6])),
    ]
    assert "no picture or a damaged one" in str(readings(output)[4]["error"])
    assert sorted(path.name for path in folder.iterdir()) == [
        *(".0.png", "1.png", "2.png", "4.png", "5.png", "6.png", "notes.txt")
    ]


def test_what_is_none_is_told_once(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    """Cut short, as an upload that broke off; whole later, it is read."""
    (folder / "cut.png").write_bytes(files[0][:-20])
    (folder / "whole.png").write_bytes(files[1])
    assert end(start("--once"))[0] == 1
    assert names(output) == ["whole.png", "cut.png"]
    assert "cut short" in str(readings(output)[1]["error"])
    assert end(start("--once"))[0] == 0
    (folder / "cut.png").write_bytes(files[0])
    assert end(start("--once"))[0] == 0
    assert names(output) == ["whole.png", "cut.png", "cut.png"]
    assert "error" not in readings(output)[2]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_between_two_lines(
    folder: Path, output: Path, start: Start, files: list[bytes], by: signal.Signals
) -> None:
    for n in range(200):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    process = start("--interval", "5")
    until(lambda: output.exists() and names(output))
    assert end(process, by)[0] == 0
    assert output.read_bytes().endswith(b"}\n")
    assert len(set(names(output))) == len(names(output))


def test_systemd_is_told(folder: Path, output: Path, start: Start, files: list[bytes], tmp_path: Path) -> None:
    """Ready once, and signs of life more often than they are waited for, though it looks at the folder every hour."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        process = start("--interval", "3600", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        status = "STATUS=0 images read, 0 failed"
        assert manager.recv(999).decode() == f"READY=1\n{status}"
        assert [manager.recv(999).decode() for _ in range(5)] == [f"WATCHDOG=1\n{status}"] * 5
        process.terminate()
        message = manager.recv(999)
        while message.startswith(b"WATCHDOG=1"):
            message = manager.recv(999)
        assert message == b"STOPPING=1"
        assert end(process)[0] == 0


def test_two_on_one_output_refuse(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    (folder / "0.png").write_bytes(files[0])
    first = start()
    until(lambda: names(output))
    status, errors = end(start())
    assert status == 1
    assert errors.count("\n") == 1
    assert f"edge-crnn serve-folder: {output}: is locked, another process writes it" in errors
    assert end(first, signal.SIGTERM)[0] == 0
    assert end(start("--once"))[0] == 0


def test_no_room_is_told_and_nothing_is_lost(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    """A file that must not grow beyond 32 KiB, which fails as a full disk does: in the middle of a line."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    for n in range(100):
        (folder / f"{n:03}.png").write_bytes(files[n % 8])
    status, errors = end(start("--once", limit=64))  # blocks of 512 bytes
    assert status == 1
    assert errors.splitlines()[-1].startswith(f"edge-crnn serve-folder: {output}: cannot be written (File too large)")
    assert "Traceback" not in errors
    assert 0 < len(names(output)) < 100
    assert output.read_bytes().endswith(b"}\n")
    assert end(start("--once"))[0] == 0
    assert sorted(names(output)) == [f"{n:03}.png" for n in range(100)]


def test_any_name_comes_once(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    awkward = ["a\nline.png", "서울 12가 3456.png", os.fsdecode(b"caf\xe9 \xff.png"), '"quoted\\".png']
    for name in awkward:
        (folder / name).write_bytes(files[0])
    for _ in range(2):
        assert end(start("--once"))[0] == 0
        assert sorted(names(output)) == sorted(awkward)


def test_a_folder_that_is_not_there_at_the_start_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "readings.jsonl"
    assert main(["serve-folder", str(tmp_path / "none"), "-o", str(output)]) == 1
    assert "none: is not a folder" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "3601", "soon"])
def test_intervals_that_are_none(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve-folder", ".", "--interval", interval]) == 2
    assert "--interval" in capsys.readouterr().err


def test_it_takes_every_option_of_a_reader() -> None:
    import argparse

    from edge_crnn.cli.reader import add_reader_arguments

    def options(add: Callable[[argparse.ArgumentParser], None]) -> set[str]:
        parser = argparse.ArgumentParser()
        add(parser)
        return set(parser._option_string_actions)

    assert {"--model", "--engine", "--grammar", "--lexicon", "--target-precision"} <= options(add_reader_arguments)
    assert options(add_reader_arguments) <= options(add_arguments)


# --- not available yet ---------------------------------------------------------------------------------------------

REFUSING = """
import os, sys
from pathlib import Path
from edge_crnn.cli.main import entry
number, *sys.argv[1:] = sys.argv[1:]
read_bytes = Path.read_bytes
def refuse(path):
    if path.suffix == ".png" and not path.stat().st_mode & 0o004:
        raise OSError(int(number), os.strerror(int(number)))
    return read_bytes(path)
Path.read_bytes = refuse
entry()
"""
"""A service that cannot read a file until others may read it. Tests may run as root, whom no mode refuses."""


@pytest.fixture
def refused(folder: Path, output: Path, tiny_artifact: Path) -> Iterator[Start]:
    """`refused(number, *words)` starts serve-folder, which is gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(number: int, *words: str) -> subprocess.Popen[str]:
        options = ["-o", output, "--model", tiny_artifact, "--interval", "0.02", "--workers", "1", *words]
        command = [sys.executable, "-c", REFUSING, str(number), "serve-folder", folder, *options]
        process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ETXTBSY, errno.ENOTCONN])
def test_an_upload_that_is_not_readable_yet_is_waited_for(
    folder: Path, output: Path, refused: Start, files: list[bytes], tiny_labels: list[str], number: int
) -> None:
    """watchdog#882, sarracenia#289: after three attempts it had an error line and was never read again."""
    (folder / "a.png").write_bytes(files[0])
    (folder / "a.png").chmod(0o600)
    before = (folder / "a.png").stat().st_mtime_ns
    process = refused(number)
    assert process.stderr is not None
    until(lambda: "cannot be read yet" in process.stderr.readline())  # type: ignore[union-attr]
    (folder / "b.png").write_bytes(files[1])
    until(lambda: names(output) == ["b.png"])
    time.sleep(0.5)  # more polls than three attempts take
    assert names(output) == ["b.png"]
    (folder / "a.png").chmod(0o644)
    assert (folder / "a.png").stat().st_mtime_ns == before
    until(lambda: names(output) == ["b.png", "a.png"])
    status, errors = end(process, signal.SIGTERM)
    assert status == 0
    assert "cannot be read" not in errors  # it was said once
    assert [reading["label"] for reading in readings(output)] == [tiny_labels[1], tiny_labels[0]]


def test_once_leaves_what_is_not_available_to_the_next_run(
    folder: Path, output: Path, refused: Start, files: list[bytes]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(files[0])
    for name in ("a.png", "b.png"):
        (folder / name).chmod(0o600)
    status, errors = end(refused(errno.EACCES, "--once"))
    assert status == 1
    assert errors.count("cannot be read yet (Permission denied)") == 1
    assert "(and 1 other)" in errors
    assert names(output) == ["c.png"]
    for name in ("a.png", "b.png"):
        (folder / name).chmod(0o644)
    assert end(refused(errno.EACCES, "--once"))[0] == 0
    assert sorted(names(output)) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOTCONN])
def test_a_folder_that_is_not_mounted_yet_is_waited_for__by_a_fake_error(
    folder: Path,
    output: Path,
    files: list[bytes],
    tiny_artifact: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "0.png").write_bytes(files[0])
    looks = 0
    look = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        nonlocal looks
        if path == folder and looks < 3:
            looks += 1
            raise OSError(number, os.strerror(number))
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    words = ["-o", str(output), "--model", str(tiny_artifact), "--interval", "0.01", "--once"]
    assert main(["serve-folder", str(folder), *words]) == 0
    errors = capsys.readouterr().err
    assert errors.count("cannot be listed") == errors.count("is back") == 1
    assert names(output) == ["0.png"]


# --- subfolders and skipped files ----------------------------------------------------------------------------------


def test_dated_subfolders_are_read_as_they_come(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    """frigate#11270. The same name in two folders is two images, and a journal from before --recursive stays valid."""
    (folder / "0.png").write_bytes(files[0])
    assert end(start("--once"))[0] == 0
    (folder / "30" / "am").mkdir(parents=True)
    (folder / "30" / "am" / "0.png").write_bytes(files[1])
    (folder / "30" / "loop").symlink_to(folder, target_is_directory=True)
    process = start("--recursive")
    until(lambda: len(names(output)) == 2)
    (folder / "31").mkdir()
    (folder / "31" / "0.png").write_bytes(files[2])
    until(lambda: len(names(output)) == 3)
    assert end(process, signal.SIGTERM)[0] == 0
    assert end(start("--recursive", "--once"))[0] == 0
    assert [(reading.get("name"), reading["label"]) for reading in readings(output)] == [
        *((None, tiny_labels[0]), ("30/am/0.png", tiny_labels[1]), ("31/0.png", tiny_labels[2]))
    ]
    assert [reading["image"] for reading in readings(output)] == [
        f"{folder}/{name}" for name in ("0.png", "30/am/0.png", "31/0.png")
    ]


def test_what_is_skipped_is_said_once(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    """frigate#11270, jpegview#168: files and subfolders were skipped without a word."""
    (folder / "a.heic").write_bytes(b"")
    (folder / "30").mkdir()
    process = start()
    assert process.stderr is not None
    until(lambda: "1 .heic; skipped 1 subfolder, which --recursive reads" in process.stderr.readline())  # type: ignore[union-attr]
    (folder / "b.heic").write_bytes(b"")
    (folder / "a.png").write_bytes(files[0])
    until(lambda: names(output))
    (folder / "a.pdf").write_bytes(b"")
    until(lambda: "2 .heic, 1 .pdf" in process.stderr.readline())  # type: ignore[union-attr]
    status, errors = end(process, signal.SIGTERM)
    assert (status, errors.count("\n")) == (0, 1)


# --- memory and messages -------------------------------------------------------------------------------------------

MEMORY = """
import gc, sys, tracemalloc
from edge_crnn.cli import serve_folder
from edge_crnn.cli.main import main
gc.disable()
run = serve_folder._Service.run
def traced(*words):
    tracemalloc.start()
    run(*words)
    print(tracemalloc.get_traced_memory()[1], file=sys.stderr)
serve_folder._Service.run = traced
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_images_do_not_stay_in_memory(folder: Path, output: Path, tiny_artifact: Path, workers: int) -> None:
    size = 1 << 20
    for n in range(100):
        (folder / f"{n}.png").write_bytes(bytes(size))
    words = ["-o", output, "--model", tiny_artifact, "--interval", "0.01", "--once", "--workers", workers]
    command = [sys.executable, "-c", MEMORY, "serve-folder", folder, *words]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert len(names(output)) == 100
    assert int(ended.stderr.splitlines()[-1]) < 20 * size


def test_a_message_that_cannot_be_written_does_not_end_the_service(
    folder: Path, output: Path, files: list[bytes], tiny_artifact: Path
) -> None:
    (folder / "a.heic").write_bytes(b"")
    (folder / "0.png").write_bytes(files[0])
    words = ["-o", output, "--model", tiny_artifact, "--interval", "0.01", "--once"]
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "edge_crnn", "serve-folder", folder, *words]
        ended = subprocess.run(list(map(str, command)), stderr=full, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 0
    assert names(output) == ["0.png"]


def test_control_characters_do_not_reach_the_terminal(folder: Path, start: Start, output: Path) -> None:
    (folder / "a\x1b[2J.png").write_bytes(b"no picture")
    (folder / "b.\x1b[2J").write_bytes(b"no picture")
    status, errors = end(start("--once"))
    assert status == 1
    assert "\x1b" not in errors
    assert names(output) == ["a\x1b[2J.png"]


def test_a_picture_that_is_damaged_is_tried_again_before_it_has_a_line(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_pictures: list[np.ndarray]
) -> None:
    """Its upload may have stalled, in a file that already has its full size."""
    whole = cv2.imencode(".jpg", cv2.resize(tiny_pictures[0], (320, 160)))[1].tobytes()
    damaged = next(
        data
        for place in range(len(whole) // 2, len(whole) - 40)
        for data in [whole[:place] + bytes(30) + whole[place + 30 :]]
        if is_damaged(data)
    )
    (folder / "a.jpg").write_bytes(damaged)
    (folder / "b.png").write_bytes(files[1])
    assert end(start("--once"))[0] == 0
    assert [(Path(str(reading["image"])).name, reading["damaged"]) for reading in readings(output)] == [
        ("b.png", False),
        ("a.jpg", True),
    ]


def is_damaged(data: bytes) -> bool:
    try:
        return bool(read_picture(data).damage)
    except ImageError:
        return False
