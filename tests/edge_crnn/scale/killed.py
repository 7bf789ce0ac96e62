"""Jobs that are started in a process of their own and killed: their images, their processes and their rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.edge_crnn.scale.stub import rows

ROOT = Path(__file__).parents[3]


def write_images(folder: Path, count: int) -> Path:
    """Create a folder of images, of which one in 50 is broken, and return it."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04d}.png").write_bytes(b"broken" if _is_broken(number) else f"text {number}".encode())
    return folder


def start(folder: object, output: object, seconds: float, address: str = "") -> subprocess.Popen[bytes]:
    """Start a job with two readers, perhaps on a Ray cluster; reading an image takes `seconds`."""
    words = [str(folder), str(output), "2", str(seconds), address]
    command = [sys.executable, "-m", "tests.edge_crnn.scale.stub", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def check_rows(output: Path, count: int) -> None:
    """Check that every image of `write_images` has one row, and that no shard is half-written."""
    written = rows(output)
    assert [row["image"].rpartition("/")[2] for row in written] == [f"{number:04d}.png" for number in range(count)]
    for number, row in enumerate(written):
        assert row["text"] == (None if _is_broken(number) else f"text {number}")
        assert (row["error"] is not None) == _is_broken(number)
    assert not [path for path in output.iterdir() if path.name.endswith(".partial")]


def _is_broken(number: int) -> bool:
    return number % 50 == 7
