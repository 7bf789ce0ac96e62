"""A trained model with everything that is known of it: its file, and what the user says beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_crnn.errors import InputError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import InputSpec, ModelSpec

from .artifact import check_spec
from .conventions.complete import complete, essential, filled
from .conventions.declared import Draft, get, join, read_draft
from .graph.graph import Graph
from .graph.nodes import Shape
from .reference.seeds import seed
from .trained.facts import FileFacts, file_facts
from .trained.keras.custom import load_layers
from .trained.keras.model import Declarations, Network
from .trained.keras.weights import Structure, structure_of
from .trained.tf1.checkpoint import find_checkpoint


@dataclass(frozen=True)
class Source:
    """A trained model: its file (a checkpoint's index), what it says about itself, and its folded graph."""

    path: Path
    spec: ModelSpec
    graph: Graph
    sha256: str
    network: Network
    """What the file holds; its graph is not folded."""
    structure: Structure | None = None
    """The network of a file of weights alone."""
    classes: Mapping[str, Any] = field(default_factory=dict)
    """Keras classes of the user's own layers, by name."""
    unwritten: str | None = None
    """The spec in JSON, to be kept beside the model; None: what is beside it says as much."""

    @property
    def remarks(self) -> list[str]:
        """What the user should know of the conversion, a line each."""
        remarks = []
        if self.network.head is not None:
            remarks.append(f"{self.path}: the training head {self.network.head!r} is left out")
        if self.network.ends.softmax:
            remarks.append(f"{self.path}: ends in logits, so a softmax is added")
        return [*remarks, *(f"{self.path}: {note}" for note in self.network.notes)]


@dataclass(frozen=True)
class Opened:
    """A trained model whose spec may be incomplete."""

    facts: FileFacts
    draft: Draft
    """What the user says of it."""
    structure: Structure | None
    classes: Mapping[str, Any]


def open_source(
    path: Path,
    spec: ModelSpec | None = None,
    *,
    declared: Draft | None = None,
    architecture: str | None = None,
    recurrent_activation: str | None = None,
    layers: Path | None = None,
) -> Source:
    """Read a trained model, and complete its spec with what its file says.

    Args:
        path: of the model.
        spec: in place of the one beside it.
        declared: further parts of the spec, which must not contradict it.
        architecture: for a file of weights alone, the network that they are of.
        recurrent_activation: for a file of weights alone, the gates' function.
        layers: a Python file of the user's own that converts further layers (see `trained.keras.custom`).

    Raises:
        ModelFileError: it is none that can be converted.
        ModelSpecError: the spec is incomplete, or not of this network.
        InputError: a file of weights alone is not told enough about, or the spec and `declared` disagree.
    """
    written = None if spec is None else json.loads(spec.to_json())
    opened = open_draft(
        path, written, declared=declared or {}, origin=None if spec is None else f"the spec of {spec.name!r}",
        architecture=architecture, recurrent_activation=recurrent_activation, layers=layers,
    )  # fmt: skip
    facts = opened.facts
    network = facts.require_network()
    completed = complete(opened.draft, facts)
    graph = network.graph.folded()
    check_spec(completed, graph)
    is_kept = spec is not None or (not declared and sidecar(facts.path).exists())
    unwritten = None if is_kept else essential(completed)
    digest = sha256(facts.path.read_bytes())
    return Source(facts.path, completed, graph, digest, network, opened.structure, opened.classes, unwritten)


def open_draft(
    path: Path,
    written: Draft | None = None,
    *,
    declared: Draft,
    origin: str | None = None,
    architecture: str | None = None,
    recurrent_activation: str | None = None,
    layers: Path | None = None,
) -> Opened:
    """Read a trained model and what the user says of it. Arguments as of `open_source`.

    Args:
        path: of the model.
        written: a spec in place of the one beside the model.
        declared: further parts of the spec.
        origin: what to call the spec given; None: it is the one beside the model.
        architecture: see `open_source`.
        recurrent_activation: see `open_source`.
        layers: see `open_source`.

    Raises:
        ModelFileError: it cannot be read.
        ModelSpecError: the spec is damaged.
        InputError: as `open_source`.
    """
    index = find_checkpoint(path)
    beside = sidecar(index or path)
    if written is None:
        written = read_draft(beside) if beside.exists() else {}
    draft = join(written, declared, beside if origin is None else origin)
    structure = None
    if architecture is not None or recurrent_activation is not None:
        if index is not None:
            raise InputError(f"{index}: a checkpoint's variables tell its network; leave out --architecture")
        structure = structure_of(architecture, recurrent_activation, lambda: _whole(draft, beside), seed)
    custom, classes = ({}, {}) if layers is None else load_layers(layers)
    return Opened(_facts(path, draft, structure, custom), draft, structure, classes)


def _whole(draft: Draft, origin: Path) -> ModelSpec:
    return ModelSpec.from_json(json.dumps(draft), origin=str(origin))


def _facts(
    path: Path, draft: Draft, structure: Structure | None, custom: Mapping[str, Callable[..., Any]]
) -> FileFacts:
    """What the file says; a size that it leaves open is fixed by the draft."""

    def read(image: Shape | None) -> FileFacts:
        return file_facts(path, structure, Declarations(image, get(draft, "lambdas") or {}, custom))

    facts = read(_shape(draft))
    if facts.missing is None or facts.obstacles:
        return facts
    completed, missing = filled(draft, facts)
    if any("--width" in words or "--height" in words or "--axes" in words for words in missing):
        return facts
    return read(_shape(completed))


def _shape(draft: Draft) -> Shape | None:
    """Shape of the network's image, where the draft has all that it depends on."""
    image = {name: get(draft, f"input.{name}") for name in ("width", "height", "axes", "colour")}
    if None in image.values():
        return None
    return InputSpec(**image, rotate=get(draft, "input.rotate") or 0, scale=1.0, offset=0.0).shape
