"""Whatever comes from outside is read or refused: no crash, no hang, no memory without bound, no other exception.

`make fuzz` runs 100,000 images and arrays, 10,000 artifacts, specs and label files, and 3,000 model files. Otherwise
each of them is run for ten seconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_crnn.model.artifact import load, save
from edge_crnn.model.spec import DecoderSpec
from tests.conftest import TINY
from tests.fake_tensorrt import save_onnx
from tests.fuzz.campaign import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits memory and reads /proc"),
]

FULL = os.environ.get("FUZZ") == "full"
SECONDS = 6 * 3600.0 if FULL else 10.0
CASES = {
    "pictures": 100_000,
    "arrays": 100_000,
    "artifacts": 10_000,
    "specs": 10_000,
    "models": 3_000,
    "labels": 10_000,
}


@pytest.fixture(scope="session")
def seeds(
    tiny_pictures: list[np.ndarray],
    tiny_artifact: Path,
    tiny_onnx: Callable[..., Path],
    tiny_keras: Path,
    tiny_h5: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder of sound files of every kind."""
    folder = tmp_path_factory.mktemp("seeds")
    shutil.copy(tiny_artifact, folder / "tiny.tflite")
    shutil.copy(tiny_onnx(), folder / "tiny.onnx")
    onnx = save_onnx(folder / "engine.onnx")
    assert onnx.spec.artifact is not None
    save(
        folder / "tiny.engine",
        bytes(range(256)),
        replace(onnx.spec, artifact=replace(onnx.spec.artifact, format="engine")),
    )
    _save_pictures(folder / "pictures", tiny_pictures)
    (folder / "models").mkdir()
    shutil.copy(tiny_keras, folder / "models")
    shutil.copy(tiny_h5, folder / "models")
    (folder / "specs").mkdir()
    for name in ("tiny.tflite", "tiny.onnx"):
        (folder / "specs" / f"{name}.json").write_text(load(folder / name).spec.to_json(), encoding="utf-8")
    decoder = DecoderSpec(method="beam", beam_width=8, grammar="[0-9]{3}", reject_below=0.5)
    (folder / "specs" / "beam.json").write_text(replace(TINY, decoder=decoder).to_json(), encoding="utf-8")
    (folder / "labels").mkdir()
    for name, text in TABLES.items():
        (folder / "labels" / name).write_text(text, encoding="utf-8")
    return folder


TABLES = {
    "labels.csv": 'image,label\n0.png,12\n1.png,"34"\n2.png,5\n3.png,6\n',
    "labels.tsv": "image\tlabel\n0.png\t12\n1.png\t34\n2.png\t5\n3.png\t6\n",
    "labels.txt": "0.png 12\n1.png 34\n2.png 5\n3.png 6\n",
    "labels.json": '{"0.png": "12", "1.png": "34", "2.png": "5", "3.png": "6"}',
}


def _save_pictures(folder: Path, pictures: list[np.ndarray]) -> None:
    """Write an image of each kind that OpenCV and Pillow write."""
    folder.mkdir()
    grey = pictures[0]
    colour = np.dstack([grey, pictures[1], pictures[2]])
    with_alpha = np.dstack([colour, pictures[3]])
    ways: dict[str, tuple[np.ndarray, list[int]]] = {
        "0.png": (grey, []),
        "colour.png": (colour, []),
        "alpha.png": (with_alpha, []),
        "deep.png": (grey.astype(np.uint16) * 257, []),
        "colour.jpg": (colour, [cv2.IMWRITE_JPEG_QUALITY, 90]),
        "grey.jpg": (grey, []),
        "progressive.jpg": (colour, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        "restarts.jpg": (colour, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
        "colour.bmp": (colour, []),
        "lossy.webp": (colour, [cv2.IMWRITE_WEBP_QUALITY, 80]),
        "lossless.webp": (with_alpha, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "colour.tif": (colour, []),
        "deep.tif": (grey.astype(np.uint16) * 257, []),
        "deep_colour.tif": (colour.astype(np.uint16) * 257, []),
        "grey.pgm": (grey, []),
        "colour.ppm": (colour, []),
    }
    for name, (picture, options) in ways.items():
        cv2.imwrite(str(folder / name), picture, options)
    frames = [Image.fromarray(picture) for picture in pictures[:3]]
    for name in ("animated.gif", "animated.png", "animated.webp"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    frames[0].convert("P").save(folder / "palette.png")
    for name in ("colour.avif", "colour.jp2"):
        with contextlib.suppress(OSError, KeyError, ValueError, cv2.error):  # not every build can
            Image.fromarray(colour).save(folder / name)


@pytest.mark.parametrize("target", CASES)
def test_no_fault(target: str, seeds: Path) -> None:
    counts = run(target, seeds, CASES[target] if FULL else CASES[target] // 4, SECONDS)
    print(f"{target}: {counts}")  # noqa: T201
    assert not counts.faults, "\n\n".join(counts.faults)
    assert counts.cases >= (CASES[target] if FULL else 10)
    assert counts.refused
    assert counts.accepted or target == "artifacts"
