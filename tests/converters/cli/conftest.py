"""Real Keras as the reference of the commands, and what sixty images can show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from converters.reference import keras as keras_reference

WIDE = ["--gate-agreement", "90", "--gate-accuracy", "10"]
"""What sixty images can show of a perfect artifact."""

Run = Callable[..., tuple[int, list[str], list[str]]]


def another_file(source: Path, target: Path) -> None:
    """The same image in other bytes."""
    cv2.imwrite(str(target), cv2.imread(str(source)), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert target.read_bytes() != source.read_bytes()


@pytest.fixture(scope="module")
def one_keras() -> Any:
    """Real Keras, opened once for a file instead of once for a command."""
    opened: dict[Path, keras_reference.KerasReference] = {}
    real = keras_reference.KerasReference

    class Kept:
        def __init__(self, path: Path, *rest: Any, **settings: Any) -> None:
            if path not in opened:
                opened[path] = real(path, *rest, **settings)
            self.facts = opened[path].facts
            self.infer = opened[path].infer

        def close(self) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_reference, "KerasReference", Kept)
        yield
    for reference in opened.values():
        reference.close()


@pytest.fixture
def convert(run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> Run:
    """Converts `tiny_keras` to x.tflite."""
    return lambda *words: run("convert", tiny_keras, "--labelled", labelled_folder, "-o", tmp_path / "x.tflite", *words)
