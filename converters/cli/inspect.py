"""Shows a trained model for `edge-crnn info`: the facts in its file, missing facts, and obstacles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_crnn.cli.inspection import Inspection
from edge_crnn.errors import ModelSpecError
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import ModelSpec

from ..conventions.complete import filled
from ..conventions.declared import Draft
from ..graph.nodes import Shape
from ..source import open_draft
from ..trained.facts import FileFacts

_MAX_SYMBOLS = 60


def inspect(
    path: Path,
    architecture: str | None = None,
    layers: Path | None = None,
    lambdas: Mapping[str, str] | None = None,
) -> Inspection:
    """Look at a trained model without starting Keras.

    Args:
        path: the model file.
        architecture: for a file of weights alone, the file with the output of `model.to_json()`.
        layers: a Python file of the user's that converts further layers.
        lambdas: name of a Lambda → its meaning.

    Raises:
        ModelFileError: the file cannot be read, or is no trained model.
        ModelSpecError: the spec beside it is damaged.
        InputError: `architecture` or `layers` cannot be used.
    """
    opened = open_draft(
        path, declared={"lambdas": dict(lambdas)} if lambdas else {}, architecture=architecture, layers=layers
    )
    facts = opened.facts
    spec = _completed(opened.draft, facts)
    obstacles = tuple(map(str, facts.obstacles))
    return Inspection(
        rows=(*_of_file(facts), *_of_spec(facts, spec)),
        layers=tuple((layer.name, layer.kind, _sizes(layer.shape)) for layer in facts.layers),
        obstacles=obstacles,
        advice=_advice(path, facts, spec),
        data={**_data(facts), "missing": list(spec.missing), "spec": spec.draft if spec.exists else None},
    )


@dataclass(frozen=True)
class _Spec:
    """The spec beside a model, which may be incomplete."""

    exists: bool
    draft: Draft
    """The spec, completed with the facts in the model file."""
    missing: tuple[str, ...]
    """Facts that are neither in the spec nor in the model file."""
    problem: str = ""
    """The reason why the spec is invalid, or ""."""


def _completed(draft: Draft, facts: FileFacts) -> _Spec:
    exists = sidecar(facts.path).exists()
    if facts.shape is None or facts.obstacles:
        return _Spec(exists, draft, ())
    try:
        draft, missing = filled(draft, facts)
        if not missing and facts.missing is None:
            ModelSpec.from_json(json.dumps(draft), origin=sidecar(facts.path).name)
        return _Spec(exists, draft, tuple(missing))
    except ModelSpecError as error:
        return _Spec(exists, draft, (), str(error))


def _of_file(facts: FileFacts) -> Iterator[tuple[str, str]]:
    yield "model", f"{facts.path} ({facts.path.stat().st_size:,} bytes)"
    yield "network", _network(facts)
    if facts.shape is not None:
        yield "input", _input(facts)
    if facts.scaling is not None:
        names = ", ".join(map(repr, facts.scaling.layers))
        kind = "raw pixels, 0 to 255, which" if facts.expects_raw_pixels else "pixels that were scaled before, which"
        yield "pixels", f"{kind} it scales itself: {facts.scaling} ({names})"
    if facts.classes is not None:
        steps = "steps" if facts.steps is None else f"{facts.steps} steps"
        softmax = "; logits, so a softmax is added" if facts.softmax else ""
        yield "output", f"{steps} of {facts.classes} classes{softmax}"
    if facts.head is not None:
        yield "", f"the training head {facts.head!r} is left out"
    if facts.vocabulary is not None:
        yield "alphabet", _vocabulary(facts)
    if facts.blank is not None:
        yield "blank", "class 0, since it was compiled with keras.losses.CTC"
    for note in facts.notes:
        yield "note", note
    if facts.unread is not None:
        yield "not read", f"the weights, and what depends on their values, such as a scaling: {facts.unread}"


def _network(facts: FileFacts) -> str:
    parts = [f"{len(facts.layers)} layers"] if facts.layers else ["no layers could be read"]
    if facts.parameters is not None:
        parts.append(f"{facts.parameters:,} parameters (batch norms folded)")
    if facts.multiplications is not None:
        parts.append(f"{facts.multiplications / 1e6:,.1f} million multiplications per image")
    return ", ".join(parts)


def _input(facts: FileFacts) -> str:
    sizes = _sizes(facts.shape)
    match facts.axes:
        case "WHC":
            return f"{sizes}: width first (axes WHC), since its steps run along the first axis"
        case "HWC":
            return f"{sizes}: height first (axes HWC), since its steps run along the second axis"
    return sizes


def _vocabulary(facts: FileFacts) -> str:
    assert facts.vocabulary is not None
    symbols = [symbol for symbol in facts.vocabulary if symbol is not None]
    shown = "".join(symbols) if all(len(symbol) == 1 for symbol in symbols) else " ".join(symbols)
    shown = shown if len(shown) <= _MAX_SYMBOLS else f"{shown[:_MAX_SYMBOLS]}…"
    before = [f"{facts.oov} for [UNK]"] if facts.oov else []
    if facts.mask is not None:
        before.append(f"one for the mask {facts.mask!r}")
    note = f" (before them: {', '.join(before)})" if before else ""
    return f"{len(symbols)} symbols: {shown}{note}"


def _of_spec(facts: FileFacts, spec: _Spec) -> Iterator[tuple[str, str]]:
    beside = sidecar(facts.path).name
    if spec.problem:
        yield "spec", spec.problem
    elif spec.exists and not spec.missing and not facts.obstacles and facts.missing is None:
        complete = ModelSpec.from_json(json.dumps(spec.draft), origin=beside)
        yield "spec", f"{beside}: {complete.input.headline}; blank {complete.blank}"
        yield "", f"alphabet {complete.alphabet}"
        if complete.teacher is not None:
            yield "", complete.teacher.headline
    elif spec.exists:
        yield "spec", f"{beside}, incomplete" if spec.missing else beside
    if facts.missing is not None and not spec.missing:
        yield "missing", str(facts.missing)
    for index, words in enumerate(spec.missing):
        yield "" if index else "missing", words


def _advice(path: Path, facts: FileFacts, spec: _Spec) -> str:
    if facts.obstacles:
        return ""
    if spec.problem:
        return f"correct {sidecar(facts.path)}"
    if spec.missing or facts.missing is not None:
        return (
            f"edge-crnn spec {path} --labelled DIR measures what is missing; or give these options to edge-crnn convert"
        )
    return f"edge-crnn convert {path} --labelled DIR"


def _sizes(shape: Sequence[int | None] | Shape | None) -> str:
    if shape is None:
        return "?"
    return " × ".join("?" if size is None else str(size) for size in shape)


def _data(facts: FileFacts) -> dict[str, Any]:
    scaling = facts.scaling
    return {
        "path": str(facts.path),
        "shape": None if facts.shape is None else list(facts.shape),
        "axes": facts.axes,
        "steps": facts.steps,
        "classes": facts.classes,
        "parameters": facts.parameters,
        "multiplications": facts.multiplications,
        "vocabulary": None if facts.vocabulary is None else list(facts.vocabulary),
        "oov": facts.oov,
        "mask": facts.mask,
        "blank": facts.blank,
        "scaling": None if scaling is None else {"scale": list(scaling.scale), "offset": list(scaling.offset)},
        "raw_pixels": facts.expects_raw_pixels,
        "logits": facts.softmax,
        "head": facts.head,
        "layers": [
            {"name": layer.name, "class": layer.kind, "shape": None if layer.shape is None else list(layer.shape)}
            for layer in facts.layers
        ],
        "lambdas": list(facts.lambdas),
        "notes": list(facts.notes),
        "unread": None if facts.unread is None else str(facts.unread),
        "obstacles": [
            {"layers": list(obstacle.layers), "class": obstacle.kind, "reason": obstacle.reason}
            for obstacle in facts.obstacles
        ],
    }
