"""`edge-crnn info`: shows the description of a model, and whether this machine can run it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from ..backends import open_backend
from ..errors import BackendError, BackendUnavailable, ModelFileError
from ..model.artifact import FORMATS, TRAINED, Artifact, load_sidecar, sidecar
from ..model.spec import ModelSpec, Parity, ParitySet
from ..reader import load
from ..reader.decoder import origin_of_threshold
from ..reader.opening import NAMES
from ..terminal import printable, printable_json
from .command import Command, lambda_declaration
from .inspection import Inspection, find_inspector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `info`."""
    parser.add_argument(
        "model",
        nargs="?",
        default="plates",
        metavar="MODEL",
        help="a trained or a converted model, or the name of a model (default: plates, the default of read)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: for programs, the spec of a converted model, or the facts in the file of a trained model",
    )
    parser.add_argument("--all", action="store_true", help="also show all layers of a trained model")
    parser.add_argument(
        "--architecture", metavar="FILE.json", help="for an .h5 with weights alone: the output of model.to_json()"
    )
    parser.add_argument(
        "--layers",
        type=Path,
        metavar="FILE.py",
        help="your own Python file that converts layers of your own classes (see docs/declare.md)",
    )
    parser.add_argument(
        "--lambda", dest="lambdas", action="append", type=lambda_declaration, default=[], metavar="LAYER=WORDS",
        help="what a Lambda does, such as 'lambda_1=squeeze 1'; may be repeated",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Return 1 if a trained model cannot be converted, or if no engine runs a converted model here; else 0."""
    path = _path_of(arguments.model)
    size = _size(path)
    if path.suffix not in FORMATS:
        return _show_trained(path, arguments, size)
    artifact = load(path)
    if arguments.format == "json":
        print(artifact.spec.to_json())
        return 0
    for name, value in (*_facts(artifact.spec, path, size), _digest(artifact)):
        print(printable(f"{name:<12} {value}"))
    engines = list(_engines(artifact))
    for name, _, state in engines:
        print(printable(f"{name:<12} {state}"))
    return 0 if any(runs for _, runs, _ in engines) else 1


def _path_of(model: str) -> Path:
    """Return the file of a model that comes with the package, or the path itself."""
    named = NAMES.get(model)
    return named if named is not None and named.exists() else Path(model)


def _show_trained(path: Path, arguments: argparse.Namespace, size: int) -> int:
    try:
        inspection = find_inspector()(path, arguments.architecture, arguments.layers, dict(arguments.lambdas))
    except BackendUnavailable as error:
        if path.suffix not in TRAINED or not sidecar(path).exists():
            raise
        spec = load_sidecar(path)  # on a device, which has no converters
        rows = [*_facts(spec, path, size), ("network", f"not inspected: {error}")]
        text = "\n".join(printable(f"{name:<12} {value}") for name, value in rows)
        print(spec.to_json() if arguments.format == "json" else text)
        return 0
    if arguments.format == "json":
        print(printable_json(json.dumps(inspection.data, ensure_ascii=False, indent=1)))
    else:
        print("\n".join(map(printable, _lines(inspection, arguments.all))))
    return 1 if inspection.obstacles else 0


def _lines(inspection: Inspection, with_layers: bool) -> Iterator[str]:
    for name, value in inspection.rows:
        yield f"{name:<12} {value}"
    if with_layers:
        width = max((len(name) for name, *_ in inspection.layers), default=0)
        width_of_kind = max((len(kind) for _, kind, _ in inspection.layers), default=0)
        for index, (name, kind, shape) in enumerate(inspection.layers):
            yield f"{'' if index else 'layers':<12} {name:<{width}}  {kind:<{width_of_kind}}  {shape}"
    if inspection.obstacles:
        yield f"{'obstacles':<12} {len(inspection.obstacles)}, so it cannot be converted unchanged:"
        yield from (f"  - {obstacle}" for obstacle in inspection.obstacles)
    if inspection.advice:
        yield f"{'next':<12} {inspection.advice}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelFileError(
            f"{path}: cannot be read ({error.strerror}); name a trained or a converted model"
        ) from error


def _facts(spec: ModelSpec, path: Path, size: int) -> Iterator[tuple[str, str]]:
    output = spec.output
    yield "model", f"{spec.name} ({path}, {size:,} bytes)"
    yield "input", spec.input.headline
    yield (
        "output",
        f"{output.steps} steps of {output.classes} classes, blank {spec.blank}, {spec.skip_steps} leading skipped",
    )
    yield "alphabet", str(spec.alphabet)
    yield "decoder", spec.decoder.headline
    yield from _rejection(spec)
    if spec.teacher is not None:
        yield "network", f"{spec.teacher.headline} (SHA-256 {spec.teacher.sha256[:16]}…)"
    facts = spec.artifact
    if facts is not None:
        yield "recipe", f"{facts.headline}, {facts.format}, batch {facts.batch}"
        for trial in facts.trials or ():
            layers = ", ".join(trial.float_layers) or "none"
            yield "", f"tried float32 {layers}: {trial.verdict}, {trial.agreement:.2%} same text, {trial.bytes:,} bytes"
        yield "payload", f"SHA-256 {facts.payload_sha256[:16]}… (checked)"
        yield "source", f"SHA-256 {facts.source_sha256[:16]}…"
        if facts.calibration is not None:
            yield (
                "calibration",
                f"{facts.calibration.images} images, SHA-256 {facts.calibration.sha256[:16]}…",
            )
        yield "made with", ", ".join(f"{tool} {version}" for tool, version in facts.tools.items())
    if spec.parity is not None:
        yield from _parity(spec.parity)
    if spec.confidence is not None:
        yield "confidence", spec.confidence.headline


def _digest(artifact: Artifact) -> tuple[str, str]:
    if artifact.spec_sha256 is None:
        return "spec", "the file has no digest of its spec, so damage to it may go unnoticed: convert the model again"
    return "spec", f"SHA-256 {artifact.spec_sha256[:16]}… (checked)"


def _rejection(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    limit = spec.decoder.reject_below
    if limit == 0 and spec.decoder.grammar is None:
        yield "rejection", "none: every reading is accepted"
    elif limit == 0:
        yield "rejection", "readings that do not match the grammar are marked as rejected"
    else:
        yield "rejection", f"readings of confidence below {limit:.6f} are marked as rejected"
        yield "", f"the threshold was {origin_of_threshold(spec)}"
    if limit:
        yield "", "to turn the threshold off: --min-confidence 0; for another one: --min-confidence P"
    if spec.confidence is not None:
        yield "", "to choose the threshold by the share of correct readings: --target-precision P"


def _parity(parity: Parity) -> Iterator[tuple[str, str]]:
    yield "verdict", f"{parity.headline}; {parity.accuracy_headline}; {parity.images:,} images"
    yield "gate", f"agreement {parity.gate_agreement:.2%}, accuracy ±{parity.gate_accuracy:.2f} points"
    for image_set in parity.sets:
        yield "", f"{image_set.name}: {image_set.images:,} images, {_shares(image_set)}"


def _shares(image_set: ParitySet) -> str:
    count = max(image_set.images, 1)
    if not image_set.labelled:
        return f"no labels, same text {image_set.same_text / count:.2%}"
    return f"{image_set.artifact_right / count:.2%} correct (trained model {image_set.reference_right / count:.2%})"


def _engines(artifact: Artifact) -> Iterator[tuple[str, bool, str]]:
    yield ("engine", *_engine(artifact))
    if artifact.path.suffix == ".onnx":
        from ..backends.tensorrt.cache import state

        yield ("tensorrt", *state(artifact))


def _engine(artifact: Artifact) -> tuple[bool, str]:
    try:
        backend = open_backend(artifact)
    except (BackendUnavailable, BackendError) as error:
        return False, str(error)
    facts = backend.facts
    backend.close()
    return True, "; ".join((f"{facts.name}, {facts.version}", *facts.notes))


COMMAND = Command(
    "show the description of a model",
    add_arguments,
    run,
    details="For a converted model, shows its conversion and verification, the readings that it rejects by default and"
    " why, and whether this machine can run it. For a trained model, shows what its file contains, what is missing,"
    " and what prevents its conversion.",
    examples=("info", "info my_model.keras --all"),
)
