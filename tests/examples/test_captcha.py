from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_crnn import open_reader
from edge_crnn.model.artifact import load


def test_captcha(run: Callable[[str], list[str]], tmp_path: Path) -> None:
    """Both are converted from the file of the training model, with the blank as the last class and as the first."""
    _, converted = run("captcha.md")
    images = sorted((tmp_path / "captchas").iterdir())
    assert len(images) == 1000
    for name, blank, symbols in (("last", 9, ("[UNK]", *"2345678b")), ("first", 0, tuple("2345678b"))):
        spec = load(tmp_path / f"{name}.tflite").spec
        assert (spec.blank, spec.symbols) == (blank, symbols)
        assert spec.parity is not None
        assert spec.parity.verdict in ("pass", "underpowered")
        assert spec.parity.sets[0].reference_right >= 900  # it has learnt to read
        assert spec.parity.agreement >= 0.995
        with open_reader(tmp_path / f"{name}.tflite") as reader:
            readings = reader.read_batch(images)
        assert sum(reading.text == path.stem for reading, path in zip(readings, images, strict=True)) >= 900
    rows = [line.split("\t") for line in converted.splitlines() if line.startswith("captchas/")]
    assert [row[0] for row in rows] == 2 * [f"captchas/{path.name}" for path in images[:5]]
    assert sum(row[1] == Path(row[0]).stem for row in rows) >= 7
