from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.artifact import make_onnx, make_tflite
from converters.graph.graph import Graph
from converters.graph.ranges import calibrate
from converters.recipe import ONNX_RECIPES, RECIPES, Recipe
from converters.verify import search as module
from converters.verify.gate import Candidate
from converters.verify.localise import LayerDrift
from converters.verify.search import keepable, keeping, search, table
from edge_crnn.errors import ConversionError, InputError
from edge_crnn.model.artifact import Artifact
from edge_crnn.model.spec import ArtifactFacts, ModelSpec, Trial
from edge_crnn.preprocess import preprocess
from tests.planted import SPEC, Oracle

COMPUTE = ["conv", "dense", "lstm", "head"]
"""The layers of `tiny_graph` that compute."""


def test_layers_that_compute_can_stay_float32(tiny_graph: Graph) -> None:
    assert keepable(tiny_graph) == COMPUTE
    assert keeping(RECIPES["int8"], ["head", "conv"], tiny_graph).float_layers == ("conv", "head")
    with pytest.raises(
        InputError, match=r"^pool, nose: no layer that can stay float32; choose from conv, dense, lstm, head$"
    ):
        keeping(RECIPES["int8"], ["pool", "conv", "nose"], tiny_graph)


# --- what is written -------------------------------------------------------------------------------------------------


def _types(payload: bytes) -> dict[str, str]:
    names = {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(payload, 0)
    return {tensor.name.decode(): names[tensor.type] for tensor in model.subgraphs[0].tensors}


@pytest.mark.parametrize("recipe", ["float16", "dynamic", "int8", "int8-full"])
@pytest.mark.parametrize("kept", [["conv"], ["conv", "dense"], ["lstm"], ["head"], COMPUTE])
def test_tflite_with_float32_layers(
    recipe: str, kept: list[str], tiny_graph: Graph, tiny_pictures: list[np.ndarray]
) -> None:
    image = preprocess(tiny_pictures, SPEC.input)
    mixed = keeping(RECIPES[recipe], kept, tiny_graph)
    artifact = make_tflite(Path("x.tflite"), tiny_graph, SPEC, mixed, "0" * 64, calibrate(tiny_graph, [image]))
    facts = artifact.spec.artifact
    assert facts is not None
    assert (facts.recipe, facts.float_layers) == (recipe, tuple(mixed.float_layers))
    assert facts.headline == f"{recipe} but for float32 {', '.join(mixed.float_layers)}"
    types = _types(artifact.payload)
    kernels = {layer: [kind for name, kind in types.items() if name.startswith(f"{layer}/") and "kernel" in name]
               for layer in COMPUTE}  # fmt: skip
    for layer in kept:
        assert set(kernels[layer]) == {"FLOAT32"}
        assert types[layer] == "FLOAT32"
    if recipe == "int8" and kept == ["conv", "dense"]:  # nothing between the two is rounded
        assert {types[name] for name in ("pool", "sequence")} == {"FLOAT32"}
        assert not any(name.endswith(":quantised") for name in types)
    backend_reads = _read(artifact, tiny_pictures)
    if kept == COMPUTE and recipe != "int8-full":  # whose softmax is int8
        np.testing.assert_allclose(backend_reads, Oracle(tiny_graph).infer(image), atol=0.05)
    assert np.abs(backend_reads.sum(axis=2) - 1).max() < 0.05


def _read(artifact: Artifact, pictures: list[np.ndarray]) -> np.ndarray:
    from edge_crnn.backends import open_backend

    backend = open_backend(artifact)
    try:
        return backend.infer(preprocess(pictures, artifact.spec.input))
    finally:
        backend.close()


def test_onnx_with_float32_layers(tiny_graph: Graph, tiny_pictures: list[np.ndarray]) -> None:
    onnx = pytest.importorskip("onnx")
    mixed = keeping(ONNX_RECIPES["float16"], ["conv", "dense", "head"], tiny_graph)
    artifact = make_onnx(Path("x.onnx"), tiny_graph, SPEC, mixed, "0" * 64)
    model = onnx.load_model_from_string(artifact.payload)
    kinds = {weight.name: onnx.TensorProto.DataType.Name(weight.data_type) for weight in model.graph.initializer}
    assert {layer: kinds[f"{layer}/kernel"] for layer in COMPUTE} == {
        "conv": "FLOAT", "dense": "FLOAT", "lstm": "FLOAT16", "head": "FLOAT"
    }  # fmt: skip
    assert [operation.name for operation in model.graph.node if operation.op_type == "Cast"] == [
        "input/Cast",
        "lstm/Cast",
        "head/Cast",
    ]
    np.testing.assert_allclose(
        _read(artifact, tiny_pictures), Oracle(tiny_graph).infer(preprocess(tiny_pictures, SPEC.input)), atol=0.05
    )


def test_values_beyond_float16_are_fine_in_float32_layers(tiny_graph: Graph) -> None:
    from converters.graph.half import refuse_values

    ranges = {"conv": (0.0, 1e5)}
    with pytest.raises(ConversionError, match=r"or keep the layer by --float conv$"):
        refuse_values(tiny_graph, ONNX_RECIPES["float16"], ranges)
    refuse_values(tiny_graph, keeping(ONNX_RECIPES["float16"], ["conv"], tiny_graph), ranges)


def test_spec_without_float32_layers_has_no_list() -> None:
    """Older versions can then read the spec, and it does not grow."""
    facts = ArtifactFacts("tflite", "int8", 1, "", "0" * 64)
    assert "float_layers" not in (text := replace(SPEC, artifact=facts).to_json())
    assert "trials" not in text
    mixed = replace(facts, float_layers=("conv",), trials=(Trial(("conv",), "pass", 1.0, 0.0, 9),))
    spec = replace(SPEC, artifact=mixed)
    assert ModelSpec.from_json(spec.to_json()) == spec


# --- the search ------------------------------------------------------------------------------------------------------


@pytest.fixture
def play(tiny_graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Candidate]:
    """`play(enough, blame)`: a search in which conversions pass that keep all layers of one of `enough`."""

    def play(enough: list[set[str]], blame: list[str]) -> Candidate:
        def convert(recipe: Recipe) -> Candidate:
            kept = recipe.float_layers
            verdict = "pass" if any(layers <= set(kept) for layers in enough) else "fail"
            facts = ArtifactFacts("tflite", recipe.name, 1, "", "0" * 64, float_layers=kept or None)
            artifact = Artifact(Path("x.tflite"), replace(SPEC, artifact=facts), b"12345")
            parity: Any = SimpleNamespace(verdict=verdict, agreement=len(kept) / 10, accuracy_change=-1.5)
            return Candidate(artifact, (), SimpleNamespace(parity=parity), recipe)  # type: ignore[arg-type]

        layers = [LayerDrift(name, "conv", 0, 0, place, 0, 0) for place, name in enumerate(blame)]
        monkeypatch.setattr(module, "localise", lambda *_: SimpleNamespace(by_blame=layers))

        def passes(verification: Any) -> bool:
            return bool(verification.parity.verdict == "pass")

        return search(RECIPES["int8"], tiny_graph, SPEC.input, [[None]], convert, passes)

    return play


def _tried(candidate: Candidate) -> list[tuple[str, ...]]:
    assert candidate.artifact.spec.artifact is not None
    return [trial.float_layers for trial in candidate.artifact.spec.artifact.trials or ()]


@pytest.mark.parametrize(
    ("enough", "kept", "tried"),
    [
        ([set()], (), []),
        ([{"lstm"}], ("lstm",), [(), ("lstm",)]),
        ([{"conv"}], ("conv",), [(), ("lstm",), ("conv", "lstm"), ("conv",)]),  # lstm was tried for nothing
        ([{"conv", "lstm"}], ("conv", "lstm"), [(), ("lstm",), ("conv", "lstm"), ("conv",)]),
        (
            [{"dense"}],
            ("dense",),
            [(), ("lstm",), ("conv", "lstm"), ("conv", "dense", "lstm"), ("conv", "dense"), ("dense",)],
        ),
        ([], ("conv", "dense", "lstm"), [(), ("lstm",), ("conv", "lstm"), ("conv", "dense", "lstm")]),
    ],
)
def test_search_keeps_only_the_layers_needed_to_pass(
    enough: list[set[str]], kept: tuple[str, ...], tried: list[tuple[str, ...]], play: Callable[..., Candidate]
) -> None:
    candidate = play(enough, ["lstm", "pool", "conv", "softmax", "dense"])  # two of which cannot be kept
    assert candidate.recipe.float_layers == kept
    assert _tried(candidate) == tried


def test_the_table_lists_all_trials(play: Callable[..., Candidate]) -> None:
    facts = play([{"lstm"}], ["lstm"]).artifact.spec.artifact
    assert facts is not None
    assert table(facts.trials or ()) == [
        "layers kept in float32, and the result:",
        "  float32  verdict       agreement   accuracy        bytes",
        "  none     fail              0.00%      -1.50            5",
        "  lstm     pass             10.00%      -1.50            5",
    ]
    assert table(()) == []
