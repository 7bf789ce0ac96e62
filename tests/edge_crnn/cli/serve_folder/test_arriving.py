"""Images that arrive in a folder: written in parts, replaced, damaged, or skipped."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.errors import ImageError
from edge_crnn.images import read_image
from tests.edge_crnn.cli.serve_folder.running import Start, end, names, readings, until

pytestmark = pytest.mark.thorough


def test_images_as_they_come(
    folder: Path, output: Path, start: Start, files: list[bytes], tiny_labels: list[str]
) -> None:
    """Files are renamed into place, written in parts, replaced, hidden or no images; the folder goes and comes back."""
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
    assert errors.splitlines()[-1] == "edge-crnn serve-folder: 5 images read, 0 damaged, 1 failed"
    assert [(Path(str(reading["image"])).name, reading["label"]) for reading in readings(output)] == [
        *((f"{name}.png", tiny_labels[n]) for name, n in ((1, 1), (2, 2), (1, 3), (4, 4))),
        *(("5.png", None), ("6.png", tiny_labels[6])),
    ]
    assert "not an image, or a damaged one" in str(readings(output)[4]["error"])
    assert sorted(path.name for path in folder.iterdir()) == [
        *(".0.png", "1.png", "2.png", "4.png", "5.png", "6.png", "notes.txt")
    ]


def test_broken_image_is_reported_once(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    """An upload that broke off is reported once, and read when it is complete."""
    (folder / "cut.png").write_bytes(files[0][:-20])
    (folder / "whole.png").write_bytes(files[1])
    status, errors = end(start("--once"))
    assert status == 1
    assert names(output) == ["whole.png", "cut.png"]
    assert "cut short" in str(readings(output)[1]["error"])
    assert f"edge-crnn serve-folder: {readings(output)[1]['error']}\n" in errors
    status, errors = end(start("--once"))
    assert status == 0
    assert "cut.png" not in errors
    (folder / "cut.png").write_bytes(files[0])
    assert end(start("--once"))[0] == 0
    assert names(output) == ["whole.png", "cut.png", "cut.png"]
    assert "error" not in readings(output)[2]


def test_any_name_is_read_once(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    awkward = ["a\nline.png", "서울 12가 3456.png", os.fsdecode(b"caf\xe9 \xff.png"), '"quoted\\".png']
    for name in awkward:
        (folder / name).write_bytes(files[0])
    for _ in range(2):
        assert end(start("--once"))[0] == 0
        assert sorted(names(output)) == sorted(awkward)


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


def test_skipped_files_are_reported_once(folder: Path, output: Path, start: Start, files: list[bytes]) -> None:
    """frigate#11270, jpegview#168: files and subfolders were skipped without a message."""
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


def test_damaged_picture_is_tried_again_before_it_has_a_line(
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
    status, errors = end(start("--once"))
    assert status == 0
    assert errors.endswith("1 images read, 1 damaged, 0 failed\n")
    assert errors.count(f"{folder / 'a.jpg'}: is damaged") == 1
    assert "b.png" not in errors
    assert [(Path(str(reading["image"])).name, reading["damaged"]) for reading in readings(output)] == [
        ("b.png", False),
        ("a.jpg", True),
    ]


def is_damaged(data: bytes) -> bool:
    try:
        return bool(read_image(data).damage)
    except ImageError:
        return False
