"""`edge-crnn info`: what a model says about itself, and whether this machine can run it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ..backends import open_backend
from ..errors import BackendError, BackendUnavailable, ModelFileError
from ..model.artifact import TRAINED, Artifact, load, load_sidecar
from ..model.spec import ModelSpec, Parity
from ..reader import DEFAULT_MODEL
from .command import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `info`."""
    parser.add_argument("model", nargs="?", type=Path, default=DEFAULT_MODEL, help="default: the one that read uses")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: the spec as it is stored")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 if the engine for the model does not run here."""
    path: Path = arguments.model
    size = _size(path)
    artifact = None if path.suffix in TRAINED else load(path)
    spec = load_sidecar(path) if artifact is None else artifact.spec
    if arguments.format == "json":
        print(spec.to_json())
        return 0
    for name, value in _facts(spec, path, size):
        print(f"{name:<12} {value}")
    if artifact is None:
        return 0
    engines = list(_engines(artifact))
    for name, _, state in engines:
        print(f"{name:<12} {state}")
    return 0 if any(runs for _, runs, _ in engines) else 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelFileError(
            f"{path}: cannot be read ({error.strerror}); name a trained or a converted model"
        ) from error


def _facts(spec: ModelSpec, path: Path, size: int) -> Iterator[tuple[str, str]]:
    image, output = spec.input, spec.output
    yield "model", f"{spec.name} ({path}, {size:,} bytes)"
    yield (
        "input",
        (
            f"{image.colour} {image.width} × {image.height}, {image.resize}, {image.axes} {image.dtype},"
            f" pixel · {image.scale:.6g} {image.offset:+.6g}"
        ),
    )
    yield (
        "output",
        f"{output.steps} steps of {output.classes} classes, blank {spec.blank}, the first {spec.skip_steps} dropped",
    )
    yield "alphabet", str(spec.alphabet)
    yield (
        "decoder",
        f"{spec.decoder.headline}, reject below {spec.decoder.reject_below}",
    )
    facts = spec.artifact
    if facts is not None:
        yield "recipe", f"{facts.headline}, {facts.format}, batch {facts.batch}"
        for trial in facts.trials or ():
            kept = ", ".join(trial.float_layers) or "none"
            yield "", f"tried float32 {kept}: {trial.verdict}, {trial.agreement:.2%} same text, {trial.bytes:,} bytes"
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


def _parity(parity: Parity) -> Iterator[tuple[str, str]]:
    yield "verdict", f"{parity.headline}; accuracy {parity.accuracy_change:+.2f} points; {parity.images:,} images"
    for each in parity.sets:
        yield (
            "",
            (
                f"{each.name}: {each.images:,} images, {each.artifact_right / max(each.images, 1):.2%} right"
                f" (trained model {each.reference_right / max(each.images, 1):.2%})"
            ),
        )


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


COMMAND = Command("show what a model says about itself", add_arguments, run)
