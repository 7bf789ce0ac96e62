from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_crnn.errors import ImageError, OutputError
from edge_crnn.files import is_temporary, lock, require_place, sha256, sweep_partial, write_atomically

WRITER = """
import os, sys, time
from pathlib import Path
from edge_crnn import files
def stuck(descriptor):
    print("all is written, nothing is renamed", flush=True)
    time.sleep(60)
files.os.fsync = stuck
files.write_atomically(Path(sys.argv[1]), b"new" * 1000)
"""


@contextlib.contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that is in the middle of writing `path`, and kill it at the end; nothing cleans up after it."""
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


NAMES = (
    "plates.tflite",
    "[a-z]*?.tflite",
    "서울 12가 3456.tflite",
    unicodedata.normalize("NFD", "서울 12가.tflite"),
    " .hidden",
    "a.1",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_replaced_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for data in (b"first, and longer", b"second", b""):
        write_atomically(path, data)
        assert path.read_bytes() == data
        assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_sweeps(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with writer(path) as process:
        assert not path.exists()
    assert process.returncode < 0
    (left,) = names(tmp_path)
    assert left != name
    assert (tmp_path / left).stat().st_size == 3000
    write_atomically(path, b"next")
    assert names(tmp_path) == [name]


def test_a_running_writer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "plates.tflite"
    with writer(path):
        (temporary,) = names(tmp_path)
        write_atomically(path, b"meanwhile")
        require_place(path)
        assert names(tmp_path) == [temporary, path.name]
    require_place(path)
    assert names(tmp_path) == [path.name]


def test_writers_of_longer_names_are_left_alone(tmp_path: Path) -> None:
    with writer(tmp_path / "plates.engine.json"):
        (temporary,) = names(tmp_path)
        sweep_partial(tmp_path / "plates.engine")
        sweep_partial(tmp_path / "plates")
        assert names(tmp_path) == [temporary]


def test_what_looks_like_a_temporary_file_is_not_one(tmp_path: Path) -> None:
    others = (
        ".a.x.0123abcd.partial",
        ".a.99999999999999999999.0123abcd.partial",
        ".a.1.partial",
        "a.1.0123abcd.partial",
    )
    for name in others:
        (tmp_path / name).touch()
    write_atomically(tmp_path / "a", b"")
    assert names(tmp_path) == sorted((*others, "a"))


def test_after_a_day_no_writer_is_believed(tmp_path: Path) -> None:
    temporary = tmp_path / f".a.{os.getpid()}.0123abcd.partial"
    for age_hours, left in ((23, [temporary.name]), (25, [])):
        temporary.touch()
        os.utime(temporary, (time.time() - age_hours * 3600,) * 2)
        sweep_partial(tmp_path / "a")
        assert names(tmp_path) == left


def test_what_cannot_be_swept_does_not_stop_the_writer(tmp_path: Path) -> None:
    (tmp_path / ".a.999999999.0123abcd.partial").mkdir()  # unlink refuses a folder, whoever asks
    write_atomically(tmp_path / "a", b"new")
    require_place(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """The system refuses to let a file grow beyond 1,000 bytes, in the middle of the write.

    For the write alone: pytest's own output may go to a file, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_is_cut_short_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plates.tflite"
    write_atomically(path, b"old" * 300)
    message = r"plates.tflite: cannot write 3,000 bytes \(File too large\); name a file in"
    with small_files(), pytest.raises(OutputError, match=message):
        write_atomically(path, b"new" * 1000)
    assert path.read_bytes() == b"old" * 300
    assert names(tmp_path) == [path.name]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB with 8 KiB left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], stderr=subprocess.DEVNULL, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("only root may mount a disk to fill it; a write that is cut short is tested without")
    (disk / "ballast").write_bytes(bytes((1 << 20) - (8 << 10)))
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(full_disk: Path) -> None:
    path = full_disk / "plates.tflite"
    with pytest.raises(OutputError, match=r"cannot write 16,384 bytes \(No space left on device\)"):
        write_atomically(path, bytes(16 << 10))
    assert names(full_disk) == ["ballast"]
    write_atomically(path, bytes(4 << 10))


def folder_missing(folder: Path) -> Path:
    return folder / "none" / "plates.tflite"


def under_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "plates.tflite"


def is_a_folder(folder: Path) -> Path:
    (folder / "plates.tflite").mkdir()
    return folder / "plates.tflite"


def name_too_long(folder: Path) -> Path:
    return folder / ("가" * 86)


def takes_no_files(folder: Path) -> Path:
    return Path("/proc/self/plates.tflite")


def read_only(folder: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder.chmod(0o555)
    return folder / "plates.tflite"


def is_here(folder: Path) -> Path:
    return Path()


def is_above(folder: Path) -> Path:
    return Path("..")


@pytest.mark.parametrize("write", [require_place, lambda path: write_atomically(path, b"data")])
@pytest.mark.parametrize(
    "place",
    [folder_missing, under_a_file, is_a_folder, name_too_long, takes_no_files, read_only, is_here, is_above],
)
def test_places_that_take_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[Path], Path], write: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=r"cannot write .* \(.+\); name a file in a folder that has room") as caught:
        write(path)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_is_found_good_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "plates.tflite"
    require_place(path)
    assert names(tmp_path) == []
    path.write_bytes(b"old")
    require_place(path)
    assert path.read_bytes() == b"old"


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_crnn.files.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "plates.tflite", b"data")
    assert names(tmp_path) == []


def test_sha256() -> None:
    assert sha256(b"abc") == sha256(memoryview(b"abc")) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        *("EACCES", "EPERM", "EIO", "ESTALE", "EAGAIN", "ENOTCONN", "ETIMEDOUT", "EMFILE"),
        *("EUCLEAN", "EBADMSG", "EKEYREJECTED", "ENONET", "EREMCHG", "ECANCELED", "EPROTO"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack some of these errors")
def test_failures_that_may_pass(name: str) -> None:
    """watchdog#882, sarracenia#289: the file was taken as damaged, although it had never been read."""
    error = OSError(getattr(errno, name), "a reason")
    assert is_temporary(error)
    wrapped = ValueError("of an image")
    wrapped.__cause__ = error
    assert is_temporary(wrapped)


@pytest.mark.parametrize("shortage", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_short_of_memory_may_pass(shortage: Exception) -> None:
    assert is_temporary(shortage)
    image_error = ImageError("a.png: not enough memory")
    image_error.__cause__ = shortage
    assert is_temporary(image_error)


@pytest.mark.parametrize("name", ["ENOENT", "EISDIR", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL"])
def test_failures_that_stay(name: str) -> None:
    assert not is_temporary(OSError(getattr(errno, name), "a reason"))
    assert not is_temporary(ValueError("damaged"))
    assert not is_temporary(None)


def test_a_lock_is_held_until_the_file_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "locked").open("wb") as first, (tmp_path / "locked").open("wb") as second:
        assert lock(first.fileno())
        with pytest.raises(BlockingIOError):
            lock(second.fileno())
        first.close()
        assert lock(second.fileno())
