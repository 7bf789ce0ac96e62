"""Opens a trained model, and joins the facts in its file with those that the user states."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_crnn.errors import InputError, ModelFileError, ModelSpecError
from edge_crnn.files import sha256
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import InputSpec, ModelSpec

from .conventions.complete import complete, essential, filled
from .conventions.declared import Draft, get, join, read_draft
from .graph.equalise import equalised
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
    """A trained model: its file (for a checkpoint, the index), its complete spec, and its folded graph."""

    path: Path
    spec: ModelSpec
    graph: Graph
    sha256: str
    network: Network
    """The network as the file holds it; its graph is not folded."""
    structure: Structure | None = None
    """The network of a file of weights alone."""
    classes: Mapping[str, Any] = field(default_factory=dict)
    """Keras classes of the user's own layers, by name."""
    unwritten: str | None = None
    """The spec in JSON, to be written beside the model; None: the spec there is as complete."""
    teacher: Source | None = None
    """The model that this one was slimmed from, once `with_teacher` has opened it."""

    @property
    def reference(self) -> Source:
        """The model whose texts count in verification: the teacher if it is open, otherwise this model."""
        return self.teacher or self

    @property
    def remarks(self) -> list[str]:
        """Remarks on the conversion for the user, one line each."""
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
    """The facts that the user states."""
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
    """Read a trained model, and complete its spec with the facts in its file.

    Args:
        path: the model file.
        spec: a spec that replaces the one beside the model.
        declared: further parts of the spec, which must not contradict it.
        architecture: for a file of weights alone, the network that they belong to.
        recurrent_activation: for a file of weights alone, the activation of the gates.
        layers: a Python file of the user's that converts further layers (see `trained.keras.custom`).

    Raises:
        ModelFileError: the model cannot be converted.
        ModelSpecError: the spec is incomplete, or describes another network.
        InputError: a file of weights alone needs more facts, or the spec and `declared` disagree.
    """
    written = None if spec is None else json.loads(spec.to_json())
    opened = open_draft(
        path, written, declared=declared or {}, origin=None if spec is None else f"the spec of {spec.name!r}",
        architecture=architecture, recurrent_activation=recurrent_activation, layers=layers,
    )  # fmt: skip
    from .artifact import check_spec  # imports LiteRT, which looking at a file does not need

    facts = opened.facts
    network = facts.require_network()
    completed = complete(opened.draft, facts)
    graph = equalised(network.graph.folded())
    check_spec(completed, graph)
    is_kept = spec is not None or (not declared and sidecar(facts.path).exists())
    unwritten = None if is_kept else essential(completed)
    digest = sha256(_content(facts.path))
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
    """Read a trained model and the facts that the user states about it.

    Args:
        path: the model file.
        written: a spec that replaces the one beside the model.
        declared: further parts of the spec.
        origin: the name of `written` in messages; None: the spec beside the model.
        architecture: see `open_source`.
        recurrent_activation: see `open_source`.
        layers: see `open_source`.

    Raises:
        ModelFileError: the model cannot be read.
        ModelSpecError: the spec is damaged.
        InputError: as `open_source`.
    """
    index = find_checkpoint(path)
    beside = sidecar(index or path)
    if written is None:
        written = read_draft(beside) if beside.exists() else {}
    draft = join(written, declared, beside if origin is None else origin)
    if draft.get("teacher") is not None:  # a slimmed model states its whole network; these describe its teacher
        architecture = recurrent_activation = layers = None
    structure = None
    if architecture is not None or recurrent_activation is not None:
        if index is not None:
            raise InputError(f"{index}: a checkpoint needs no --architecture; leave it out")
        structure = structure_of(architecture, recurrent_activation, lambda: _whole(draft, beside), seed)
    custom, classes = ({}, {}) if layers is None else load_layers(layers)
    return Opened(_facts(path, draft, structure, custom), draft, structure, classes)


def with_teacher(
    source: Source,
    given: Path | None = None,
    *,
    architecture: str | None = None,
    recurrent_activation: str | None = None,
    layers: Path | None = None,
) -> Source:
    """Open the model that a slimmed one was slimmed from. Any other model is returned as it is.

    Args:
        source: a trained model.
        given: the teacher's file; None: the file beside the model that its spec names.
        architecture: see `open_source`; here and below for the teacher.
        recurrent_activation: see `open_source`.
        layers: see `open_source`.

    Raises:
        InputError: a teacher is given, but the model is not a slimmed one.
        ModelFileError: the teacher is missing, or another file than the one that the spec names.
        ModelSpecError: the teacher prepares images or spells texts differently.
    """
    facts = source.spec.teacher
    if facts is None:
        if given is not None:
            raise InputError(f"{source.path}: its spec names no model that it was slimmed from; leave out --teacher")
        return source
    advice = f"copy {facts.file} beside {source.path.name}, or name it by --teacher FILE"
    path = given or source.path.parent / facts.file
    try:
        path = find_checkpoint(path) or path
        digest = sha256(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelFileError(
            f"{path}: cannot be read ({reason}); {source.path.name} is verified against the model that it was slimmed"
            f" from: {advice}"
        ) from error
    if digest != facts.sha256:
        raise ModelFileError(
            f"{path}: found SHA-256 {digest[:12]}…; {source.path.name} was slimmed from {facts.sha256[:12]}…:"
            f" {advice}, or slim again"
        )
    spec = None if sidecar(path).exists() else replace(source.spec, teacher=None)
    teacher = open_source(
        path, spec, architecture=architecture, recurrent_activation=recurrent_activation, layers=layers
    )
    if different := differences(source.spec, teacher.spec):
        raise ModelSpecError(
            f"{source.path}: its alphabet or its images are not those of {teacher.path} ({different}); correct one of"
            " their specs, or slim again"
        )
    return replace(source, teacher=teacher)


def differences(spec: ModelSpec, other: ModelSpec) -> str:
    """List the ways in which one of two models prepares images or spells texts differently; empty if in none.

    They are differences in alphabet, blank, steps, classes or preprocessing.
    """
    ours = _sees_and_spells(spec)
    theirs = _sees_and_spells(other)
    return "; ".join(f"{name} {ours[name]!r}, there {value!r}" for name, value in theirs.items() if ours[name] != value)


def _sees_and_spells(spec: ModelSpec) -> dict[str, object]:
    image = dataclasses.asdict(spec.input)
    del image["axes"], image["dtype"]  # an artifact may take pixels, and transpose and scale them itself
    return {
        "symbols": " ".join(spec.symbols),
        "blank": spec.blank,
        "skip_steps": spec.skip_steps,
        "steps": spec.output.steps,
        "classes": spec.output.classes,
        **image,
    }


def _whole(draft: Draft, origin: Path) -> ModelSpec:
    return ModelSpec.from_json(json.dumps(draft), origin=str(origin))


def _facts(
    path: Path, draft: Draft, structure: Structure | None, custom: Mapping[str, Callable[..., Any]]
) -> FileFacts:
    """Read the facts in the file, with sizes from the draft if the file leaves them open."""

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
    """Return the shape of the network's image; None if the draft does not determine it."""
    image = {name: get(draft, f"input.{name}") for name in ("width", "height", "axes", "colour")}
    if None in image.values():
        return None
    return InputSpec(**image, rotate=get(draft, "input.rotate") or 0, scale=1.0, offset=0.0).shape


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); check the disk, or copy it again") from error
