from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.artifact import make_onnx, make_tflite
from converters.graph import nodes as n
from converters.graph import oracle
from converters.graph.cells import LstmCell
from converters.graph.graph import Graph
from converters.recipe import ONNX_RECIPES, RECIPES
from converters.tflite.writer import pack
from converters.verify import localise as module
from converters.verify.gate import Readings
from converters.verify.localise import Drift, LayerDrift, localise, spread, worst, worst_table
from converters.verify.probes import probing
from edge_crnn.backends import open_backend
from edge_crnn.dataset import Dataset, Entry
from edge_crnn.errors import VerificationError
from edge_crnn.model.artifact import Artifact, load, save
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.preprocess import preprocess
from tests.converters.conftest import onnx_with
from tests.converters.verify.made import renamed

pytestmark = pytest.mark.thorough

pytest.importorskip("cv2")
Make = Callable[..., Path]

WEIGHTS = {
    "conv": r"conv(:blocks)?/kernel",
    "dense": "dense/kernel",
    "lstm": "lstm/feedback:1/kernel",
    "head": "head/kernel",
}
"""Layer of `tiny_graph` → one of its weights in a `.tflite`."""
TINY_INPUT = InputSpec(width=32, height=16, axes="WHC", scale=1 / 127.5, offset=-1.0)


@pytest.fixture
def drift(tiny_graph: Graph, entries: list[Entry]) -> Callable[[Artifact], Drift]:
    """The drift of an artifact of `tiny_graph`."""
    return lambda artifact: localise(artifact, tiny_graph, TINY_INPUT, entries)


def _tflite_with(path: Path, weight: str, factor: float) -> Artifact:
    """Multiply a constant of an artifact, named by a pattern, by a factor; for int8, multiply its scales."""
    artifact = load(path)
    model = schema.ModelT.InitFromPackedBuf(artifact.payload, 0)
    count = 0
    for tensor in (tensor for subgraph in model.subgraphs for tensor in subgraph.tensors):
        if not re.fullmatch(weight, tensor.name.decode()):
            continue
        count += 1
        if tensor.type == schema.TensorType.INT8:
            tensor.quantization.scale = np.float32(tensor.quantization.scale) * np.float32(factor)
        else:
            buffer = model.buffers[tensor.buffer]
            buffer.data = (buffer.data.view(np.float32) * np.float32(factor)).view(np.uint8)
    assert count == 1
    return Artifact(path, artifact.spec, pack(model))


# --- healthy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_healthy_float32_artifact_drifts_nowhere(
    kind: str, pixels: bool, tiny_artifacts: Make, tiny_onnx: Make, drift: Callable[[Artifact], Drift]
) -> None:
    path = tiny_artifacts("float32", 1, pixels) if kind == "tflite" else tiny_onnx("float32", pixels)
    drifts = drift(load(path))
    assert [layer.name for layer in drifts.layers] == ["conv", "pool", "sequence", "dense", "lstm", "head", "softmax"]
    assert drifts.missing == ()
    assert drifts.images == 8
    assert min(layer.snr_db for layer in drifts.layers) > 80
    assert min(layer.own_snr_db for layer in drifts.layers) > 80
    assert max(layer.largest for layer in drifts.layers) < 1e-3
    assert drifts.shipped_snr_db > 80
    assert drifts.copy_snr_db > 100
    assert drifts.table[-1].startswith("  measured in: a copy, with all values as outputs; its probabilities ")


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic", "int8", "int8-full"])
def test_the_probe_computes_the_same_as_the_artifact(
    recipe: str, tiny_artifacts: Make, tiny_graph: Graph, entries: list[Entry]
) -> None:
    """Marking the tensors as outputs does not change a bit of the result."""
    artifact = load(tiny_artifacts(recipe))
    batch = preprocess([entry.load() for entry in entries[:1]], artifact.spec.input)
    backend = open_backend(artifact)
    with probing(artifact, tiny_graph, TINY_INPUT) as probe:
        probed = probe(batch)["softmax"]
    if artifact.spec.output.quantisation is not None:  # the backend scales the sums to 1
        probed /= probed.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(probed, backend.infer(batch), rtol=1e-5)
    else:
        np.testing.assert_array_equal(probed, backend.infer(batch))
    backend.close()


@pytest.mark.parametrize("recipe", ["dynamic", "int8", "int8-full"])
def test_int8_drifts_as_much_as_eight_bits_do(
    recipe: str, tiny_artifacts: Make, drift: Callable[[Artifact], Drift]
) -> None:
    drifts = drift(load(tiny_artifacts(recipe)))
    by_name = {layer.name: layer for layer in drifts.layers}
    assert {name for name, layer in by_name.items() if layer.own_snr_db == np.inf} >= {"pool", "sequence"}
    assert 15 < drifts.to_blame.own_snr_db < 50
    assert 15 < by_name["head"].snr_db < 60
    assert drifts.copy_snr_db > 100  # the backend scales int8 sums to 1


def test_batches_are_filled_up(tiny_artifacts: Make, drift: Callable[[Artifact], Drift]) -> None:
    drifts = drift(load(tiny_artifacts("float32", 3)))
    assert drifts.images == 8
    assert min(layer.snr_db for layer in drifts.layers) > 80
    assert drifts.shipped_snr_db > 80


# --- planted faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", WEIGHTS)
@pytest.mark.parametrize("recipe", ["float32", "dynamic", "int8"])
def test_a_wrong_scale_in_a_tflite_is_found_where_it_is(
    recipe: str, layer: str, tiny_artifacts: Make, drift: Callable[[Artifact], Drift]
) -> None:
    healthy = drift(load(tiny_artifacts(recipe)))
    faulty = drift(_tflite_with(tiny_artifacts(recipe), WEIGHTS[layer], 0.5))
    assert faulty.to_blame.name == layer
    assert faulty.to_blame.own_snr_db < 15
    place = [row.name for row in faulty.layers].index(layer)
    assert faulty.layers[:place] == healthy.layers[:place]  # the layers before it do not change
    for after, before in zip(faulty.layers[place + 1 :], healthy.layers[place + 1 :], strict=True):
        assert after.snr_db < before.snr_db  # the layers after it inherit the fault
        assert after.own_snr_db >= before.own_snr_db - 10  # and are not blamed for it


@pytest.mark.parametrize("layer", ["conv", "dense", "lstm", "head"])
@pytest.mark.parametrize("recipe", ["float32", "float16"])
def test_a_wrong_scale_in_an_onnx_is_found_where_it_is(
    recipe: str, layer: str, tiny_onnx: Make, drift: Callable[[Artifact], Drift]
) -> None:
    healthy = drift(load(tiny_onnx(recipe)))
    drifts = drift(onnx_with(tiny_onnx(recipe), f"{layer}/kernel", 0.5))
    assert drifts.to_blame.name == layer
    assert drifts.to_blame.own_snr_db < 15 < 40 < healthy.to_blame.own_snr_db


def test_infinite_value_is_blamed_on_its_layer(tiny_onnx: Make, drift: Callable[[Artifact], Drift]) -> None:
    drifts = drift(onnx_with(tiny_onnx(), "dense/kernel", np.nan))
    by_name = {layer.name: layer for layer in drifts.layers}
    assert (drifts.to_blame.name, drifts.to_blame.own_snr_db) == ("dense", -np.inf)
    assert by_name["sequence"].snr_db > 80
    assert by_name["dense"].snr_db == -np.inf
    assert by_name["dense"].largest == np.inf
    assert any("-inf" in line for line in drifts.table)


def test_pixels_that_are_scaled_otherwise_are_blamed_on_the_first_layer(
    tiny_onnx: Make, drift: Callable[[Artifact], Drift]
) -> None:
    assert drift(onnx_with(tiny_onnx(), "input/scale", 1.2)).to_blame.name == "conv"


# --- names -----------------------------------------------------------------------------------------------------------


class _Weights:
    """Random ones."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(3)

    def __call__(self, *shape: int) -> np.ndarray:
        return self._random.normal(0, 0.5, shape).astype(np.float32)


SPEC = ModelSpec("forms", tuple("0123456789"), 10, TINY_INPUT, OutputSpec(16, 11), skip_steps=2)
AROUND = ((1, 1), (1, 1))


def _other_forms() -> Graph:
    """A network of nodes that `tiny_graph` lacks, one of which leaves nothing in a file."""
    weights = _Weights()
    nodes = (
        n.Conv("block/conv", weights(3, 3, 1, 4), weights(4), pads=AROUND),
        n.Unary("block/tanh", "tanh"),
        n.Affine("block/norm", weights(4), weights(4)),
        n.Pool("average", "average", (2, 2), (2, 2)),
        n.Permute("turned", (1, 0, 2)),
        n.Permute("back", (1, 0, 2)),
        n.Reshape("sequence", (16, 32)),
        n.Reshape("nothing", (16, 32)),
        n.Recurrent("backwards", None, LstmCell(weights(32, 16), weights(4, 16), weights(16))),
        n.Dense("block", weights(4, 11), weights(11)),
        n.Softmax("softmax"),
    )
    return Graph.chain(TINY_INPUT.shape, nodes)


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_layers_of_all_forms_are_found_by_name(suffix: str, entries: list[Entry], tmp_path: Path) -> None:
    graph = _other_forms()
    drift = localise(_artifact_of(graph, suffix, tmp_path), graph, TINY_INPUT, entries)
    gone = ("nothing",) if suffix == "tflite" else ()
    assert drift.missing == gone
    assert [layer.name for layer in drift.layers] == [node.name for node in graph.nodes if node.name not in gone]
    assert min(layer.snr_db for layer in drift.layers) > 80


def _artifact_of(graph: Graph, suffix: str, folder: Path) -> Artifact:
    path = folder / f"forms.{suffix}"
    if suffix == "tflite":
        return make_tflite(path, graph, SPEC, RECIPES["float32"], "0" * 64)
    return make_onnx(path, graph, SPEC, ONNX_RECIPES["float32"], "0" * 64)


def test_an_artifact_of_another_network_is_refused(
    tiny_artifacts: Make, tiny_graph: Graph, entries: list[Entry]
) -> None:
    other = renamed(tiny_graph)
    with pytest.raises(VerificationError, match=r"no tensor named after any of the layers my_conv, "):
        localise(load(tiny_artifacts("float32")), other, TINY_INPUT, entries)


# --- a graph that is no chain ----------------------------------------------------------------------------------------


def _residual() -> Graph:
    """Return a graph of two branches that meet, with a value in two precisions and a constant."""
    weights = _Weights()
    nodes = (
        n.Conv("stem", weights(3, 3, 1, 4), weights(4), pads=AROUND, activation="relu"),
        n.Conv("left", weights(3, 3, 4, 4) / 4, weights(4), pads=AROUND),
        n.Conv("right", weights(1, 1, 4, 4), weights(4), inputs=("stem",)),
        n.Binary("sum", "add", "relu", inputs=("left", "right")),
        n.Concat("both", 2, inputs=("stem", "sum")),
        n.Pool("pool", "max", (2, 2), (2, 2)),
        n.Reshape("sequence", (16, 64)),
        n.Constant("places", weights(16, 64)),
        n.Binary("placed", "add", inputs=("sequence", "places")),
        n.Dense("head", weights(64, 11), weights(11)),
        n.Softmax("softmax"),
    )
    return Graph.chain(TINY_INPUT.shape, nodes)


def _with_branch(graph: Graph, name: str) -> Graph:
    """The graph with another kernel in one convolution."""
    conv = graph.by_name[name]
    assert isinstance(conv, n.Conv)
    other = replace(conv, kernel=conv.kernel * np.float32(0.5))
    return Graph(graph.input_shape, tuple(other if node is conv else node for node in graph.nodes))


@pytest.mark.parametrize("branch", ["left", "right"])
@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_fault_in_a_branch_is_localised_in_that_branch(
    suffix: str, branch: str, entries: list[Entry], tmp_path: Path
) -> None:
    graph = _residual()
    artifact = _artifact_of(_with_branch(graph, branch), suffix, tmp_path)
    drift = localise(artifact, graph, TINY_INPUT, entries)
    by_name = {layer.name: layer for layer in drift.layers}
    assert drift.to_blame.name == branch
    assert drift.missing == ()
    assert by_name[branch].own_snr_db < 15
    assert {name for name, layer in by_name.items() if layer.snr_db > 80} == {"stem", *{"left", "right"} - {branch}}
    assert {name for name, layer in by_name.items() if layer.own_snr_db < 80} == {branch}


def test_of_a_large_graph_fewer_images_are_carried(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _residual()
    artifact = _artifact_of(graph, "onnx", tmp_path)
    runs = []
    real = oracle.resume
    monkeypatch.setattr(oracle, "resume", lambda *arguments: runs.append(1) or real(*arguments))
    drifts = {}
    for budget in (400, 3 * len(graph.nodes), 1):
        monkeypatch.setattr(module, "_MAX_RUNS", budget)
        runs.clear()
        drifts[budget] = localise(artifact, graph, TINY_INPUT, entries), len(runs)
    counts = [count for _, count in drifts.values()]
    assert counts[0] > counts[1] > counts[2] > 0
    assert counts[0] <= 8 * (len(graph.nodes) - 4)  # what only moves values makes no noise to be carried
    assert len({drift.to_blame.name for drift, _ in drifts.values()}) <= 2


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_worst_images_are_those_with_another_text_and_then_the_noisiest() -> None:
    names = ["a", "b", "c", "d"]
    dataset = Dataset(Path("x"), tuple(Entry(Path(f"x/{name}.png"), name) for name in names))
    right = np.full((4, 2, 2), 0.5, np.float32)
    noise = np.float32([0, 0.1, 0.05, 0.2])[:, None, None]
    reference = Readings(("1", "1", "1", "1"), (1.0,) * 4, right)
    artifact = Readings(("1", "1", "2", "1"), (1.0,) * 4, right + noise)
    departures = worst([dataset], [reference], [artifact], 3)
    assert [departure.path.stem for departure in departures] == ["c", "d", "b"]
    assert [departure.snr_db for departure in departures] == pytest.approx(
        [20.0, 20 * np.log10(2.5), 20 * np.log10(5)], abs=1e-4
    )
    assert worst_table(departures, SPEC.alphabet)[1:] == [
        "     20.0 dB  x/c.png: trained model '1', artifact '2'",
        "      8.0 dB  x/d.png: both '1'",
        "     14.0 dB  x/b.png: both '1'",
    ]
    assert worst([dataset], [reference], [artifact], 9)[-1].snr_db == np.inf


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_layer_of_a_sound_artifact_is_blamed(
    recipe: str, tiny_artifacts: Make, drift: Callable[[Artifact], Drift]
) -> None:
    drifts = drift(load(tiny_artifacts(recipe)))
    text = "\n".join(drifts.table)
    assert "to blame" not in text
    assert (
        f"no layer stands out: {drifts.to_blame.name} differs most, and leaves {drifts.to_blame.end_snr_db:.1f} dB"
        in text
    )


@pytest.mark.parametrize("layer", WEIGHTS)
def test_a_layer_that_changes_texts_is_blamed(
    layer: str, tiny_artifacts: Make, drift: Callable[[Artifact], Drift]
) -> None:
    drifts = drift(_tflite_with(tiny_artifacts("int8"), WEIGHTS[layer], 0.5))
    assert any(line.startswith(f"  to blame: {layer}; ") for line in drifts.table)


def test_an_exact_artifact_differs_nowhere() -> None:
    exact = LayerDrift("conv", "conv", np.inf, np.inf, np.inf, 0.0, 0.0)
    table = Drift((exact,), (), 1, np.inf, np.inf).table
    assert "  no layer stands out: all are exact" in table


def test_images_are_taken_from_all_over() -> None:
    sets = [Dataset(Path(name), tuple(Entry(Path(f"{name}/{i}"), "1") for i in range(5))) for name in "ab"]
    assert [str(entry.path) for entry in spread(sets, 4)] == ["a/0", "a/3", "b/1", "b/4"]
    assert len(spread(sets, 32)) == 10


def test_verify_names_the_layer(
    run: Callable[..., tuple[int, list[str], list[str]]], tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    converted = tmp_path / "x.tflite"
    wide = ["--gate-agreement", "40", "--gate-accuracy", "60"]
    assert (
        run("convert", tiny_keras, "--recipe", "dynamic", "--labelled", labelled_folder, "-o", converted, *wide)[0] == 0
    )
    broken = _tflite_with(converted, "dense1/kernel", 4.0)
    save(converted, broken.payload, broken.spec)
    status, out, err = run("verify", tiny_keras, converted, "--labelled", labelled_folder, "--localise")
    assert status == 3
    assert "gate" in err[0]
    assert out[0] == "x.tflite, layer by layer:"
    assert any(line.startswith("  to blame: dense1; its noise alone leaves ") for line in out)
    assert sum(" dB  " in line and "trained model" in line for line in out) == 5
