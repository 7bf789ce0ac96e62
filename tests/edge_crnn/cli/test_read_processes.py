"""Standard input and damaged files, with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.thorough


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


# --- standard input ------------------------------------------------------------------------------------------------


def piped(model: Path, data: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_crnn", "read", "--model", model, *words]
    ended = subprocess.run(command, input=data, capture_output=True, check=False, timeout=120)
    return subprocess.CompletedProcess(command, ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_an_image_from_standard_input(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], form: str
) -> None:
    ended = piped(tiny_artifact, png(tiny_pictures[2]), "-", "--format", form)
    assert (ended.returncode, ended.stderr) == (0, "")
    if form == "jsonl":
        reading = json.loads(ended.stdout)
        assert (reading["image"], reading["label"]) == ("-", tiny_labels[2])
    else:
        assert ended.stdout.startswith(f"-\t{tiny_labels[2]}\t")


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        (b"", ["-"], "standard input is empty"),
        (b"no picture", ["-"], "standard input: 10 bytes"),
        (b"no picture", ["-", "a.png"], "must be the only argument"),
        (b"no picture", ["a.png", "-"], "must be the only argument"),
        (b"no picture", ["-", "-"], "must be the only argument"),
    ],
)
def test_bad_standard_input(tiny_artifact: Path, data: bytes, words: list[str], message: str) -> None:
    ended = piped(tiny_artifact, data, *words)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert message in ended.stderr
    assert ended.stderr.splitlines()[0].startswith("edge-crnn read: ")


def test_standard_input_that_is_closed(tiny_artifact: Path) -> None:
    command = f"{sys.executable} -m edge_crnn read --model {tiny_artifact} - <&-"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1
    assert "standard input is" in ended.stderr
    assert ended.stderr.count("\n") == 1


# --- memory --------------------------------------------------------------------------------------------------------

MEMORY = """
import gc, sys, tracemalloc
from pathlib import Path
from edge_crnn.cli.main import main
gc.disable()
model, *images = sys.argv[1:]
words = ["read", "--model", model, "--workers", "1", "--format", "jsonl"]
main([*words, *images[:1]])
tracemalloc.start()
main([*words, *images])
print(tracemalloc.get_traced_memory()[1], file=sys.stderr)
"""


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"], ids=["none", "PNG", "JPEG"])
def test_damaged_images_do_not_stay_in_memory(tmp_path: Path, tiny_artifact: Path, content: bytes) -> None:
    """The error of an image must not keep its bytes, not even until the next collection of garbage."""
    size = 1 << 20
    names = []
    for n in range(100):
        path = tmp_path / f"{n}.png"
        path.write_bytes(content + bytes(size - len(content)))
        names.append(str(path))
    command = [sys.executable, "-c", MEMORY, str(tiny_artifact), *names]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert len(ended.stdout.splitlines()) == 101
    assert int(ended.stderr.splitlines()[-1]) < 20 * size
