"""Weights of a trained model in a network for another alphabet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_crnn.errors import ModelFileError, ModelSpecError
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import InputSpec, ModelSpec, OutputSpec
from edge_crnn.training.fit import build, save_model
from edge_crnn.training.initial import load_initial, take_over
from edge_crnn.training.plan import Plan

PLAN = Plan("digits", epochs=1, steps=1, width=0.04)


def spec_of(symbols: tuple[str, ...], blank: int | None = None, unused: tuple[int, ...] = ()) -> ModelSpec:
    classes = len(symbols) + 1 + len(unused)
    return ModelSpec(
        name="test",
        symbols=symbols,
        blank=classes - 1 if blank is None else blank,
        unused=unused,
        input=InputSpec(width=32, height=32, axes="WHC", scale=1 / 127.5, offset=-1.0),
        output=OutputSpec(steps=7, classes=classes),
    )


OLD = spec_of(tuple("abc"))


@pytest.fixture(scope="module")
def trained(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are all different, with its spec."""
    path = tmp_path_factory.mktemp("trained") / "old.keras"
    model = build(PLAN, OLD)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    save_model(PLAN, OLD, model, path)
    return path


def class_rows(model: Any, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Symbol, or nothing for the blank → its column of the last kernel, with its bias."""
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("logits").weights)
    columns = np.concatenate([kernel, bias[None]])
    alphabet = spec.alphabet
    return {"": columns[:, alphabet.blank]} | {
        symbol: columns[:, index] for symbol, index in zip(alphabet.symbols, alphabet.indices, strict=True)
    }


@pytest.mark.parametrize(
    ("spec", "shared", "new"),
    [
        (spec_of(tuple("abcde")), "abc", "de"),
        (spec_of(tuple("bxa")), "ab", "x"),
        (spec_of(tuple("cba")), "abc", ""),
        (spec_of(tuple("abc"), blank=0), "abc", ""),
        (spec_of(tuple("a")), "a", ""),
        (spec_of(tuple("xyz")), "", "xyz"),
        (spec_of(tuple("ca"), unused=(1,)), "ac", ""),
        (spec_of(("b", "가나")), "b", ""),
    ],
    ids=["more", "some", "another order", "blank first", "fewer", "none", "unused", "two characters"],
)
def test_the_classes_of_shared_symbols_are_taken_over(trained: Path, spec: ModelSpec, shared: str, new: str) -> None:
    """crnn.pytorch#23: fine-tuning to another alphabet was refused, since the last layer has another shape."""
    initial = load_initial(trained)
    model = build(PLAN, spec)
    fresh = class_rows(model, spec)
    report = take_over(initial, model, spec.alphabet)
    before = class_rows(initial.model, OLD)
    after = class_rows(model, spec)
    for symbol in ("", *shared):
        assert np.array_equal(after[symbol], before[symbol])
    for symbol in new:
        assert np.array_equal(after[symbol], fresh[symbol])
    for layer in model.layers:
        if layer.name != "logits":
            theirs = initial.model.get_layer(layer.name).weights
            assert all(np.array_equal(a, b) for a, b in zip(layer.weights, theirs, strict=True))
    assert f"{len(shared)} symbols in both alphabets" in report
    assert f"new are {len(spec.symbols) - len(shared)} symbols" in report
    assert all(symbol in report for symbol in spec.symbols)


def test_the_same_alphabet_takes_over_everything(trained: Path) -> None:
    initial = load_initial(trained)
    model = build(PLAN, OLD)
    assert "all weights" in take_over(initial, model, OLD.alphabet)
    assert all(np.array_equal(a, b) for a, b in zip(model.weights, initial.model.weights, strict=True))


def test_without_a_spec_the_alphabet_is_not_guessed_silently(trained: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.keras"
    bare.write_bytes(trained.read_bytes())
    initial = load_initial(bare)
    assert "it has no spec" in take_over(initial, build(PLAN, OLD), OLD.alphabet)
    other = spec_of(tuple("abcd"))
    with pytest.raises(ModelSpecError, match=r"no spec beside it names its 4 classes, .* 5; write"):
        take_over(initial, build(PLAN, other), other.alphabet)


def test_a_damaged_spec_is_not_ignored(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.keras"
    copy.write_bytes(trained.read_bytes())
    sidecar(copy).write_text("{")
    with pytest.raises(ModelSpecError, match="no JSON"):
        load_initial(copy)


def test_another_network_changes_no_weight(trained: Path) -> None:
    wider = replace(PLAN, width=0.07)
    spec = spec_of(tuple("abcd"))
    model = build(wider, spec)
    before = [np.array(weight) for weight in model.weights]
    with pytest.raises(ModelFileError, match=r"has conv1/kernel .* expected conv1/kernel"):
        take_over(load_initial(trained), model, spec.alphabet)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))


@pytest.mark.parametrize("content", [None, b"", b"none", b"PK\x05\x06" + bytes(18)])
def test_a_model_that_cannot_be_read_is_refused(keras: Any, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "none.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"none\.keras: Keras cannot load it"):
        load_initial(path)
