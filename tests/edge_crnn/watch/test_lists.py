"""Lists decide on a plate, and help to read it where the network is in doubt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_crnn.errors import InputError
from edge_crnn.model.spec import ModelSpec
from edge_crnn.reader import load
from edge_crnn.watch.lists import Lists


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load("plates").spec


def network_output(spec: ModelSpec, label: str, doubt: tuple[int, str, float] | None = None) -> np.ndarray:
    """Return (1, T, C) probabilities that read a label; at one symbol, another one has the given share."""
    steps, classes = spec.output.steps, spec.output.classes
    rows = np.full((steps, classes), 1e-6, np.float32)
    rows[:, spec.blank] = 1.0
    for place, index in enumerate(spec.alphabet.encode(label)):
        step = spec.skip_steps + 3 * place
        rows[step] = 1e-6
        rows[step, index] = 1.0
        if doubt is not None and doubt[0] == place:
            rows[step, index] = 1 - doubt[2]
            rows[step, spec.alphabet.encode(doubt[1])[0]] = doubt[2]
    return (rows / rows.sum(axis=1, keepdims=True))[np.newaxis]


def test_files_have_a_plate_per_line_as_people_write_it(spec: ModelSpec, tmp_path: Path) -> None:
    allow, block = tmp_path / "allow.txt", tmp_path / "block.txt"
    allow.write_text("# residents\n서울 18 나 6897\n\n서울 52 가 3108\n", encoding="utf-8")
    block.write_text("\ufeff서울 52 가 3108\n", encoding="utf-8")
    lists = Lists.read(spec, allow, block)
    label = spec.alphabet.label
    assert lists.listed(label("서울 18 나 6897")) == "allowed"
    assert lists.listed(label("서울 52 가 3108")) == "blocked"
    assert lists.listed(label("서울 18 나 6898")) == "unlisted"
    assert lists.listed("") == "unlisted"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("서울 18 나 6897\nno plate\n".encode(), "line 2"),
        (b"\xff\xfe", "UTF-8"),
        (b"# none\n", "no plate"),
        (None, "cannot be read"),
    ],
)
def test_an_unusable_file_is_rejected(spec: ModelSpec, tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "allow.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        Lists.read(spec, path)


def test_a_listed_plate_is_read_where_the_network_is_in_doubt(spec: ModelSpec) -> None:
    lists = Lists(spec, ["A18sk6897"])
    assert lists.fuse(network_output(spec, "A18sk6891", (8, "7", 0.4))).label == "A18sk6897"
    assert Lists(spec, ["A18sk1111"]).fuse(network_output(spec, "A18sk6891", (8, "7", 0.4))).label == "A18sk6891"


def test_a_plate_that_the_network_sees_clearly_is_not_taken_for_a_listed_one(spec: ModelSpec) -> None:
    reading = Lists(spec, ["A18sk6897"]).fuse(network_output(spec, "A18sk6891"))
    assert (reading.label, reading.rescued) == ("A18sk6891", False)


def test_a_rescue_at_no_cost_is_marked(spec: ModelSpec) -> None:
    reading = Lists(spec, ["A18sk6897"], rescue=1.0).fuse(network_output(spec, "A18sk6891"))
    assert (reading.label, reading.rescued) == ("A18sk6897", True)
