from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.ncnn import open_ncnn, write
from converters.graph import oracle
from converters.graph.graph import Graph
from edge_crnn.preprocess import preprocess
from tests.conftest import TINY


def magnitudes(graph: Graph, images: np.ndarray) -> dict[str, float]:
    largest: dict[str, float] = {}
    oracle.run(graph, images, lambda name, value: largest.update({name: float(np.abs(value).max())}))
    return {node.name: largest[node.inputs[0]] for node in graph.nodes}


@pytest.fixture
def images(tiny_pictures: list[np.ndarray]) -> np.ndarray:
    return preprocess(tiny_pictures, TINY.input)


def test_a_file_says_how_many_layers_and_values_it_has(tiny_graph: Graph, tmp_path: Path) -> None:
    write(tiny_graph, tmp_path / "tiny.param")
    magic, counts, *lines = (tmp_path / "tiny.param").read_text(encoding="utf-8").splitlines()
    values = [line.split()[4 + int(line.split()[2]) :][: int(line.split()[3])] for line in lines]
    assert magic == "7767517"
    assert counts.split() == [str(len(lines)), str(sum(map(len, values)))]


def test_weights_take_four_bytes_or_one(tiny_graph: Graph, images: np.ndarray, tmp_path: Path) -> None:
    write(tiny_graph, tmp_path / "float32.param")
    write(tiny_graph, tmp_path / "int8.param", magnitudes(tiny_graph, images))
    sizes = [len((tmp_path / f"{name}.bin").read_bytes()) for name in ("float32", "int8")]
    matrices = 9 * 8 + 64 * 12 + 2 * (12 * 48 + 12 * 48) + 24 * 11
    biases, tags = 8 + 12 + 2 * 48 + 11, 3 + 3
    assert sizes[0] == 4 * (matrices + biases + tags)
    scales = 8 + 12 + 4 * 48 + 11 + 3  # of rows, and of what is taken
    assert sizes[1] == matrices + 4 * (biases + tags + scales)


@pytest.mark.parametrize(("name", "tolerance"), [("float32", 1e-5), ("int8", 0.01)])
def test_ncnn_gives_what_the_oracle_gives(
    name: str, tolerance: float, tiny_graph: Graph, images: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("ncnn", reason="ncnn is not installed; it comes with edge-crnn[bench]")
    write(tiny_graph, tmp_path / f"{name}.param", magnitudes(tiny_graph, images) if name == "int8" else None)
    infer = open_ncnn(tmp_path / f"{name}.param", 1)
    expected = oracle.run(tiny_graph, images)
    probabilities = np.concatenate([infer(image[np.newaxis]) for image in images])
    assert probabilities.shape == expected.shape
    assert np.abs(probabilities - expected).mean() < tolerance
