"""The PyTorch peer computes the same network. Where PyTorch is not installed, these tests are skipped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu import set as gpu_set
from benchmarks.gpu.texts import layers_of
from benchmarks.peers.torch import Peer, network
from converters.artifact import make_onnx
from converters.graph import nodes as g
from converters.graph.cells import GruCell, LstmCell
from converters.graph.graph import Graph
from converters.graph.oracle import run
from converters.recipe import ONNX_RECIPES
from edge_crnn.errors import BackendUnavailable
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import preprocess
from tests.conftest import TINY

torch: Any = pytest.importorskip("torch", reason="PyTorch is a peer and comes with no extra")
pytest.importorskip("onnx", reason="the network is written with the package onnx")

_IMAGE = InputSpec(width=12, height=10, axes="WHC", scale=1 / 127.5, offset=-1.0)


def _weights(seed: int, *shape: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape)
    return values.astype(np.float16).astype(np.float32)  # the precision in which the peer receives them


def _cell(seed: int, taken: int, units: int) -> LstmCell:
    return LstmCell(_weights(seed, taken, 4 * units), _weights(seed, units, 4 * units), _weights(seed, 4 * units))


def _graph(merge: Any) -> Graph:
    """Return a network with all layers of the two models, in odd sizes."""
    nodes = (
        g.Conv("conv1", _weights(1, 3, 3, 1, 4), _weights(2, 4), pads=((1, 1), (1, 1)), activation="relu"),
        g.Affine("norm", _weights(3, 4), _weights(4, 4)),
        g.Conv("conv2", _weights(5, 2, 2, 4, 5), _weights(6, 5), pads=((0, 1), (0, 1))),
        g.Unary("relu", "relu"),
        g.Pool("pool", "max", (2, 2), (1, 2), ((0, 1), (0, 0))),
        g.Conv("conv3", _weights(7, 2, 2, 5, 6), _weights(8, 6)),
        g.Unary("tanh", "tanh"),
        g.Reshape("sequence", (11, 24)),
        g.Recurrent("lstm1", _cell(9, 24, 7), _cell(10, 24, 7), merge),
        g.Recurrent("lstm2", _cell(11, 14 if merge == "concat" else 7, 5), None),
        g.Dense("head", _weights(12, 5, 4), _weights(13, 4)),
        g.Softmax("softmax"),
    )
    return Graph.chain((12, 10, 1), nodes)


def _run(graph: Graph, pixels: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        peer = network(layers_of(graph, _IMAGE), torch, "cpu", torch.float32)
        return np.asarray(peer(torch.from_numpy(pixels)).numpy())


@pytest.mark.parametrize("merge", ["concat", "sum", "average", "product"])
def test_it_gives_what_the_oracle_gives(merge: str) -> None:
    graph = _graph(merge)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 1), np.uint8)
    expected = run(graph, pixels.transpose(0, 2, 1, 3) * np.float32(_IMAGE.scale) + np.float32(_IMAGE.offset))
    np.testing.assert_allclose(_run(graph, pixels), expected, atol=2e-5)


def test_an_unsupported_layer_is_named() -> None:
    gru = GruCell(_weights(1, 24, 9), _weights(2, 3, 9), _weights(3, 9))
    pixels = np.zeros((1, 10, 12, 1), np.uint8)
    for strange in (
        g.Recurrent("r", gru, gru),
        g.Recurrent("r", None, _cell(1, 24, 7)),
        g.Recurrent("r", _cell(1, 24, 7), _cell(1, 24, 6)),
        g.Pool("p", "average", (2, 2), (2, 2)),
    ):
        with pytest.raises(BackendUnavailable, match="not supported by the peer"):
            _run(Graph.chain((12, 10, 1), (strange,)), pixels)


def test_it_answers_from_its_own_process(
    tiny_graph: Graph, tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path
) -> None:
    artifact = make_onnx(tmp_path / "model.onnx", tiny_graph, TINY, ONNX_RECIPES["float16"], "0" * 64)
    pixels = preprocess(tiny_pictures, artifact.spec.input)
    about = gpu_set.About("8 images", "a test", "2026-01-01", "keras 3", 8, "0" * 64)
    layers = layers_of(tiny_graph, TINY.input)
    gpu_set.write(
        tmp_path,
        artifact,
        layers,
        about,
        pixels,
        tiny_labels,
        [np.stack([picture] * 3, -1) for picture in pixels[..., 0]],
    )
    peer = Peer(sys.executable, tmp_path, [1, 4], "cpu")
    try:
        assert peer.labels == tiny_labels
        assert peer.versions["device"] == "CPU"
        for way in ("host to host", "pictures to text"):
            assert len(peer.times(way, 4, 3)) == 3  # type: ignore[arg-type]
    finally:
        peer.close()
    if not torch.cuda.is_available():
        with pytest.raises(BackendUnavailable, match="finds no GPU"):
            Peer(sys.executable, tmp_path, [1])
