"""`convert` and `verify` for Python; `edge_crnn.conversion` has the signatures, documents them, and finds these."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edge_crnn.bounds import BATCH
from edge_crnn.conversion import Folders, GateResult, PathLike, TextChange
from edge_crnn.dataset import DEFAULT_RULES, LabelRules
from edge_crnn.errors import EdgeCrnnError, InputError, InputTypeError, OutputError
from edge_crnn.files import require_place
from edge_crnn.model.artifact import Artifact, load, load_spec, sidecar
from edge_crnn.preprocess.function import Function, Preprocess, use

from .conventions.declared import FUNCTION, OPTIONS, Draft, Option, put
from .graph.half import faint_weights
from .pipeline import (
    artifact_readings,
    calibrated_for,
    check_same_network,
    is_from,
    load_sets,
    reference_readings,
    refuse_calibration_images,
    within,
    write,
)
from .pipeline import convert as convert_by
from .recipe import Recipe, Target, recipes_to_try
from .source import Source, open_source, with_teacher
from .verify.choice import attempts, choose, latencies_ms
from .verify.gate import Candidate, Gate, Verification, compare
from .verify.search import keeping
from .verify.seeded import seeded_images
from .verify.sets import not_set_aside, suspicions

_TARGETS: dict[str, Target] = {".tflite": "tflite", ".onnx": "onnx"}
_HOW_TO_CALIBRATE = "give images=FOLDER, labelled=FOLDER or calibration=FOLDER"


def convert(
    model: PathLike,
    output: PathLike | None,
    *,
    images: Folders,
    labelled: Folders,
    calibration: PathLike | None,
    recipe: str | None,
    keep_float: Iterable[str],
    batch: int | None,
    takes_pixels: bool,
    grammar: str | None,
    gate_agreement: float,
    gate_accuracy: float,
    strict: bool,
    teacher: PathLike | None,
    label_rules: LabelRules | None,
    recursive: bool,
    **about_model: Any,
) -> GateResult:
    """Convert, verify, and write the artifact unless the gate is not met; see `edge_crnn.convert`."""
    path = _path(model, "model")
    target = Path(f"{path.stem}.tflite") if output is None else _path(output, "output")
    if target.suffix not in _TARGETS:
        raise OutputError(
            f"{target}: found {target.suffix or 'no suffix'}, expected an output that ends in"
            f" {' or '.join(_TARGETS)}; for an .engine run edge-crnn convert"
        )
    if batch is not None and target.suffix == ".onnx":
        raise InputError(f"batch is {batch}, and an .onnx takes any number of images; leave it out")
    if batch is not None and (problem := BATCH.problem("batch", batch)) is not None:
        raise InputError(problem)
    if label_rules is not None and not labelled:
        raise InputError("label_rules are about labelled images; give labelled=FOLDER")
    gate = _gate(gate_agreement, gate_accuracy)
    source = within(_source(path, **about_model), grammar)
    if images or labelled:
        source = _with_teacher(source, teacher, **about_model)
    elif teacher is not None:
        raise InputError("teacher needs images to compare with; give images=FOLDER, or labelled=FOLDER")
    _check_place(target, path)
    if source.unwritten is not None:
        require_place(sidecar(source.path))
    rules = _rules(label_rules, recursive)
    datasets = load_sets(_folders(labelled, "labelled"), source.spec, rules, _folders(images, "images"))
    recipes, note = recipes_to_try(
        _TARGETS[target.suffix],
        recipe,
        has_images=bool(datasets or calibration is not None),
        remedy=_HOW_TO_CALIBRATE,
    )
    notes = [] if note is None else [note]
    if names := [keep_float] if isinstance(keep_float, str) else list(keep_float):
        recipes = [keeping(candidate, names, source.graph) for candidate in recipes]
    datasets = datasets or [seeded_images(source.spec.input)]
    folder = None if calibration is None else _path(calibration, "calibration")
    datasets, ranges = calibrated_for(source, recipes, datasets, folder, rules.recursive)
    if folder is None and ranges is not None:
        notes.append(f"{ranges[1].images} of the images calibrated the model and are left out of the verification")
    reference = reference_readings(source, datasets, cached=True)

    def make(candidate: Recipe) -> Candidate:
        return convert_by(
            source, target, candidate, datasets, reference, gate, ranges, batch=batch or 1, takes_pixels=takes_pixels
        )

    def note_failure(candidate: Recipe, error: EdgeCrnnError) -> None:
        notes.append(f"recipe {candidate.name} was not possible: {error}")

    candidates = attempts(recipes, make, note_failure)
    chosen = candidates[0]
    if len(candidates) > 1:
        chosen = choose(candidates, latencies_ms(candidates, datasets[0]), strict)
    written = chosen.verification.passes(strict)
    if written:
        beside = write(target, chosen, source)
        if beside is not None:
            notes.append(f"wrote {beside}: the spec of the trained model")
    return GateResult(
        chosen.verified,
        chosen.verification.parity,
        _changes(chosen.verification, chosen.artifact),
        written,
        (
            *source.remarks,
            *suspicions(datasets, reference),
            *notes,
            *faint_weights(source.graph, chosen.recipe),
        ),
    )


def verify(
    model: PathLike,
    artifact: PathLike | Artifact,
    *,
    images: Folders,
    labelled: Folders,
    gate_agreement: float,
    gate_accuracy: float,
    teacher: PathLike | None,
    label_rules: LabelRules | None,
    recursive: bool,
    **about_model: Any,
) -> GateResult:
    """Compare an artifact with the trained model; see `edge_crnn.verify`."""
    opened = artifact if isinstance(artifact, Artifact) else load(_path(artifact, "artifact"))
    source = _with_teacher(_source(_path(model, "model"), **about_model), teacher, **about_model)
    rules = _rules(label_rules, recursive)
    all_sets = load_sets(_folders(labelled, "labelled"), source.spec, rules, _folders(images, "images"))
    if not all_sets:
        raise InputError("no images to verify with; give images=FOLDER, or labelled=FOLDER if they have labels")
    datasets, aside = not_set_aside([opened], all_sets)
    check_same_network(opened, source)
    refuse_calibration_images(opened, datasets)
    reference = reference_readings(source, datasets, cached=True)
    verification = compare(
        datasets, reference, artifact_readings(opened, datasets), _gate(gate_agreement, gate_accuracy)
    )
    notes = [*source.remarks, *suspicions(datasets, reference)]
    if aside:
        notes.append(f"{aside} of the images calibrated the model and are left out")
    if not is_from(opened, source):
        notes.append(f"{opened.path} was not converted from {source.path}")
    return GateResult(opened, verification.parity, _changes(verification, opened), written=False, notes=tuple(notes))


def _source(
    path: Path,
    *,
    spec: PathLike | None,
    architecture: str | None,
    recurrent_activation: str | None,
    layers: PathLike | None,
    preprocess: Function | Preprocess | None,
    **conventions: Any,
) -> Source:
    declared = declared_in(conventions)
    if preprocess is not None:
        function = preprocess if isinstance(preprocess, Preprocess) else Preprocess.of(preprocess)
        use(function)
        put(declared, FUNCTION, asdict(function.named))
    return open_source(
        path,
        None if spec is None else load_spec(_path(spec, "spec")),
        declared=declared,
        architecture=architecture,
        recurrent_activation=recurrent_activation,
        layers=None if layers is None else _path(layers, "layers"),
    )


def _with_teacher(
    source: Source,
    teacher: PathLike | None,
    *,
    architecture: str | None,
    recurrent_activation: str | None,
    layers: PathLike | None,
    **_: Any,
) -> Source:
    return with_teacher(
        source,
        None if teacher is None else _path(teacher, "teacher"),
        architecture=architecture,
        recurrent_activation=recurrent_activation,
        layers=None if layers is None else _path(layers, "layers"),
    )


def declared_in(conventions: Mapping[str, Any]) -> Draft:
    """Return the part of a spec that keyword arguments declare.

    Args:
        conventions: name of an option, with underscores → its value, or its text as the command line takes it.

    Raises:
        InputTypeError: a name is unknown.
        InputError: a value is not one that the option takes.
    """
    options = {option.name: option for option in OPTIONS}
    draft: Draft = {}
    for name, value in conventions.items():
        if name == "lambdas":
            draft["lambdas"] = dict(value)
        elif name not in options:
            near = difflib.get_close_matches(name, [*options, "lambdas"], 1)
            raise InputTypeError(
                f"found the argument {name!r}, which is not known{f'; did you mean {near[0]!r}?' if near else ''};"
                f" expected one of {', '.join([*options, 'lambdas'])}"
            )
        elif value is not None:
            put(draft, options[name].key, _value(options[name], value))
    return draft


def _value(option: Option, value: Any) -> Any:
    if option.repeated:
        values = value if isinstance(value, list | tuple) else [value]
        return [_single(option, part) for part in values]
    return _single(option, value)


def _single(option: Option, value: Any) -> Any:
    if isinstance(value, Path):
        value = str(value)
    try:
        read = option.read(value) if isinstance(value, str) and option.read is not None else value
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise InputError(f"{option.name} is {value!r}: {error}") from error
    if option.choices is not None and read not in option.choices:
        raise InputError(f"{option.name} is {value!r}, expected {', '.join(map(repr, option.choices))}")
    return list(read) if isinstance(read, tuple) else read


def _rules(rules: LabelRules | None, recursive: bool) -> LabelRules:
    rules = rules or DEFAULT_RULES
    return replace(rules, recursive=rules.recursive or recursive)


def _gate(agreement: float, accuracy: float) -> Gate:
    if not 0 <= agreement <= 1:
        raise InputError(f"gate_agreement is {agreement}, expected a share from 0 to 1, such as 0.995")
    if not 0 <= accuracy <= 100:
        raise InputError(f"gate_accuracy is {accuracy}, expected percentage points from 0 to 100, such as 0.3")
    return Gate(agreement, accuracy)


def _changes(verification: Verification, artifact: Artifact) -> tuple[TextChange, ...]:
    changes = []
    for change in verification.changes:
        trained, converted = change.texts(artifact.spec.alphabet)
        changes.append(TextChange(change.dataset.entries[change.index].path, trained, converted))
    return tuple(changes)


def _path(value: PathLike, name: str) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise InputTypeError(f"{name} is {value!r} ({type(value).__name__}), expected a path")
    return Path(value)


def _folders(value: Folders, name: str) -> list[Path]:
    if isinstance(value, str | os.PathLike):
        return [Path(value)]
    if not isinstance(value, Iterable):
        raise InputTypeError(f"{name} is {value!r} ({type(value).__name__}), expected a folder, or a list of folders")
    return [_path(folder, name) for folder in value]


def _check_place(target: Path, model: Path) -> None:
    require_place(target)
    if target.resolve() == model.resolve():
        raise OutputError(f"{target}: the output is the trained model itself; name another file")
