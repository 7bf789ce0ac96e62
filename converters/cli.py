"""The commands `edge-crnn convert` and `edge-crnn verify`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge_crnn.artifact import Artifact, load, load_spec, save
from edge_crnn.backends.trt_build import BuildOptions
from edge_crnn.backends.trt_process import is_there
from edge_crnn.cli.command import Command, at_least, between
from edge_crnn.cli.knowledge import add_grammar_argument, grammar_of
from edge_crnn.ctc import Grammar
from edge_crnn.dataset import Dataset
from edge_crnn.errors import (
    BackendError,
    ConversionError,
    DatasetError,
    InputError,
    OutputError,
    VerificationError,
)
from edge_crnn.files import require_place, write_atomically
from edge_crnn.training.architectures import ARCHITECTURES

from .graph.half import faint_weights
from .pipeline import (
    Source,
    artifact_readings,
    calibrated,
    check_calibration,
    check_same_network,
    convert,
    latencies_ms,
    load_sets,
    open_source,
    reference_readings,
    refuse_calibration_images,
)
from .recipe import DEFAULT_RECIPE, ONNX_RECIPES, RECIPES, RECIPES_FOR, Recipe, Target
from .report.compose import compose
from .report.page import page
from .report.records import from_json
from .report.verification import Outcome, to_json
from .tensorrt.to_engine import how_to_build, to_engine
from .trained.keras.model import ADDED_SOFTMAX
from .trained.keras.weights import GATES
from .verify.gate import Candidate, Gate, Readings, Verification, compare
from .verify.localise import localise, spread, worst, worst_table
from .verify.search import keeping, search, table

_LISTED = 20
_LOCALISED, _WORST = 32, 5
_SUFFIXES: dict[Target, str] = {"tflite": ".tflite", "onnx": ".onnx", "tensorrt": ".engine"}
"""What `--to` can be → how its artifacts are named."""


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=Path, help="a trained CRNN: .keras, .h5 or TensorFlow 1 checkpoint; its spec beside it"
    )
    parser.add_argument(
        "--to",
        choices=tuple(_SUFFIXES),
        default="tflite",
        help="kind of artifact; tensorrt: an .onnx beside OUT, and OUT built of it where TensorRT is (default: tflite)",
    )
    parser.add_argument(
        "--recipe",
        choices=("auto", *dict.fromkeys(name for target in _SUFFIXES for name in RECIPES_FOR[target])),
        help=f"tflite: {_said(RECIPES)}. onnx and tensorrt: {_said(ONNX_RECIPES)}. Defaults: "
        + ", ".join(f"{recipe} for {target}" for target, recipe in DEFAULT_RECIPE.items())
        + ". auto, not for tensorrt: tries them all and takes the fastest that passes",
    )
    parser.add_argument(
        "--float",
        type=lambda text: text.split(","),
        default=[],
        metavar="LAYER,…|auto",
        help="layers that stay float32 whatever the recipe says, by the names that verify --localise shows; auto: where"
        " the gate is not met, those that are to blame. Not for tensorrt",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="where the artifact goes")
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="images that set the ranges of int8")
    parser.add_argument(
        "--verify", type=Path, metavar="DIR", action="append", required=True, help="labelled images; may be repeated"
    )
    _structure_arguments(parser)
    parser.add_argument(
        "--batch",
        type=at_least(1),
        metavar="N",
        help="images per call: always so many for tflite (default: 1), at most for tensorrt (default: 32)",
    )
    parser.add_argument("--float-input", action="store_true", help="take the network's float32 input, not pixels")
    add_grammar_argument(parser, "what the artifact reads unless told otherwise, with a beam")
    _gate_arguments(parser)


def _said(recipes: Mapping[str, Recipe]) -> str:
    return "; ".join(f"{name}, {recipe.summary}" for name, recipe in recipes.items())


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", type=Path, help="the trained model, with its spec beside it")
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="artifact", help="what was converted from it")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", action="append", required=True, help="labelled images; may be repeated"
    )
    parser.add_argument(
        "--localise",
        action="store_true",
        help=f"show layer by layer how far each artifact is from the trained model, on {_LOCALISED} of the images, and"
        " on which images it is furthest; for an .engine, TensorRT builds a second one that gives all values, and"
        " fuses less for that",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="DIR", help="make sure that int8 was calibrated with the images of DIR"
    )
    _structure_arguments(parser)
    _gate_arguments(parser)


def _structure_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", type=Path, metavar="FILE", help="the model's spec (default: MODEL.json beside it)")
    parser.add_argument(
        "--architecture",
        choices=tuple(ARCHITECTURES),
        help="for an .h5 of weights alone: the network that they are of",
    )
    parser.add_argument(
        "--recurrent-activation",
        choices=GATES,
        help="for an .h5 of weights alone: the gates' function, by its name in the Keras that wrote the file (Keras"
        " before 2.3 trained with hard_sigmoid unless told otherwise, later ones with sigmoid)",
    )


def _gate_arguments(parser: argparse.ArgumentParser) -> None:
    gate = Gate()
    parser.add_argument(
        "--gate-agreement", type=between(0, 100), default=100 * gate.agreement, metavar="PERCENT",
        help="least share of the trained model's right readings that must stay the same (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--gate-accuracy", type=between(0, 100), default=gate.accuracy, metavar="POINTS",
        help="largest move of the accuracy, in points of 100 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="too few images to show it is a failure, too")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write an HTML page with the changed images")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="write what the page is made of, for `edge-crnn report`"
    )
    parser.add_argument(
        "--images-are", default="", metavar="WORDS", help="what the images are, such as 'rendered plates', for the page"
    )


def run_convert(arguments: argparse.Namespace) -> int:
    """Convert, verify, and write the artifact if it passes."""
    target: Path = arguments.output
    if target.suffix != _SUFFIXES[arguments.to]:
        raise OutputError(
            f"{target}: --to {arguments.to} writes a NAME{_SUFFIXES[arguments.to]}, which is found by it; name it so"
        )
    engine = target if arguments.to == "tensorrt" else None
    if engine is not None:
        target = engine.with_suffix(".onnx")
    _check_places([arguments.model], [target, engine, arguments.page, arguments.results])
    recipes = _recipes(arguments)
    source = _within(grammar_of(arguments.grammar), _source(arguments.model, arguments))
    if arguments.float not in ([], ["auto"]):
        recipes = [keeping(recipe, arguments.float, source.graph) for recipe in recipes]
    datasets = load_sets(arguments.verify, source.spec)
    calibration = None
    if any(recipe.needs_calibration for recipe in recipes):
        calibration = calibrated(source, arguments.calibration, datasets)
        print(f"calibrated with {calibration[1].images} images of {arguments.calibration}")
    reference = reference_readings(source, datasets)
    candidates = []

    def make(recipe: Recipe) -> Candidate:
        return convert(
            source, target, recipe, datasets, reference, _gate(arguments), calibration,
            batch=arguments.batch or 1, takes_pixels=not arguments.float_input,
        )  # fmt: skip

    for recipe in recipes:
        try:
            if arguments.float == ["auto"]:
                candidates.append(
                    search(
                        recipe, source.graph, source.spec.input, datasets, make,
                        lambda each: _passes(each, arguments.strict),
                    )
                )  # fmt: skip
            else:
                candidates.append(make(recipe))
        except (ConversionError, BackendError, VerificationError) as error:
            if recipe is recipes[-1] and not candidates:
                raise
            print(f"{recipe.name}: {error}")
    chosen = _choose(candidates, datasets[0], arguments.strict) if arguments.recipe == "auto" else candidates[0]
    outcome = Outcome(chosen.artifact, chosen.verification, chosen.readings)
    facts = chosen.artifact.spec.artifact
    assert facts is not None  # `convert` made it
    for line in table(facts.trials or ()):
        print(line)
    _report(outcome, arguments)
    _write_results(arguments, source, [outcome], reference)
    for line in faint_weights(source.graph, chosen.recipe):
        print(f"  {line}")
    if "half" in (chosen.recipe.stack, chosen.recipe.head):
        print("  float16 was verified as this CPU computes it, most of it in float32; verify it on the device, too")
    if not _passes(chosen.verification, arguments.strict):
        kept = "; the older file of that name is as it was" if target.exists() else ""
        searched = arguments.float or engine is not None or arguments.recipe in ("auto", "float32")
        advice = "" if searched else ", or add --float auto, which keeps the layers that are to blame in float32"
        raise VerificationError(
            f"{target.name} does not meet the gate and was not written{kept}; see the images that changed{advice}"
        )
    save(target, chosen.artifact.payload, chosen.verified.spec)
    print(f"{target}: {target.stat().st_size:,} bytes, recipe {facts.headline}")
    if engine is not None:
        _build(target, engine, arguments.batch)
    return 0


def _build(onnx: Path, engine: Path, batch: int | None) -> None:
    usual = BuildOptions()
    options = usual if batch is None else replace(usual, batches=(1, min(usual.batches[1], batch), batch))
    if not is_there():
        print(f"no TensorRT is installed here: {engine} is not built")
        print(how_to_build(onnx, engine, options))
        return
    made = to_engine(onnx, engine, options)
    print(f"{engine}: {len(made.payload):,} bytes, for up to {options.batches[2]} images; for this machine's GPU only")


def run_verify(arguments: argparse.Namespace) -> int:
    """Verify artifacts that exist; nothing is changed."""
    artifacts = [load(path) for path in arguments.artifacts]
    _check_places([arguments.reference, *arguments.artifacts], [arguments.page, arguments.results])
    source = _source(arguments.reference, arguments)
    datasets = load_sets(arguments.images, source.spec)
    for artifact in artifacts:
        check_same_network(artifact, source)
        refuse_calibration_images(artifact, datasets)
        if arguments.calibration is not None:
            check_calibration(artifact, source, arguments.calibration)
            print(f"{artifact.path.name}: its ranges are those of the images of {arguments.calibration}")
    reference = reference_readings(source, datasets)
    outcomes = []
    for artifact in artifacts:
        if artifact.spec.artifact is not None and artifact.spec.artifact.source_sha256 != source.sha256:
            print(f"{artifact.path}: was converted from another file than {source.path}")
        if arguments.localise:
            _localise(artifact, source, datasets)
        readings = artifact_readings(artifact, datasets)
        outcomes.append(Outcome(artifact, compare(datasets, reference, readings, _gate(arguments)), readings))
        _report(outcomes[-1], arguments)
        if arguments.localise:
            departures = worst(datasets, reference, readings, _WORST)
            print(*worst_table(departures, artifact.spec.alphabet), sep="\n")
    _write_results(arguments, source, outcomes, reference)
    failed = [each.artifact.path.name for each in outcomes if not _passes(each.verification, arguments.strict)]
    if failed:
        where = "" if arguments.localise else ", and with --localise which layer is to blame"
        raise VerificationError(f"{', '.join(failed)}: the gate is not met; see the images that changed{where}")
    return 0


def _localise(artifact: Artifact, source: Source, datasets: Sequence[Dataset]) -> None:
    """Before the artifact reads all images, which ends the run where it gives values that are not finite."""
    drift = localise(artifact, source.graph, source.spec.input, spread(datasets, _LOCALISED))
    print(f"{artifact.path.name}, layer by layer:", *drift.table, sep="\n")


def _recipes(arguments: argparse.Namespace) -> list[Recipe]:
    recipes, wish = RECIPES_FOR[arguments.to], arguments.recipe or DEFAULT_RECIPE[arguments.to]
    if arguments.to == "onnx" and arguments.batch is not None:
        raise InputError("--batch is for tflite and tensorrt; an .onnx takes any number of images: leave it out")
    if arguments.float and arguments.to == "tensorrt":
        raise InputError("--float is for tflite and onnx: an engine shows that it is float16 by all its convolutions")
    if arguments.float and wish == "auto":
        raise InputError("--float changes one recipe; name it in place of --recipe auto")
    if arguments.to == "tensorrt" and wish == "auto":
        raise InputError("--recipe auto measures on this CPU, which tells nothing of an engine; name a recipe")
    if wish != "auto":
        if wish not in recipes:
            raise InputError(f"recipe {wish} is not for --to {arguments.to}, whose recipes are {', '.join(recipes)}")
        if recipes[wish].needs_calibration and arguments.calibration is None:
            raise DatasetError(f"recipe {wish} needs images to calibrate with; add --calibration DIR")
        return [recipes[wish]]
    known = [each for each in recipes.values() if arguments.calibration is not None or not each.needs_calibration]
    if len(known) < len(recipes):
        print("auto: recipes that need calibration are left out; add --calibration DIR to try them")
    return known


def _choose(candidates: Sequence[Candidate], dataset: Dataset, strict: bool) -> Candidate:
    """The fastest candidate that passes; the one that agrees best where none does."""
    speeds = latencies_ms(candidates, dataset)
    print(f"{'recipe':<13} {'verdict':<13} {'agreement':>9} {'accuracy':>9} {'bytes':>11} {'ms, 1 thread':>13}")
    for each, ms in zip(candidates, speeds, strict=True):
        parity = each.verification.parity
        right = sum(one.artifact_right for one in parity.sets) / parity.images
        size = len(each.artifact.payload)
        shares = f"{parity.agreement:>9.2%} {right:>9.2%}"
        print(f"{each.recipe.name:<13} {parity.verdict:<13} {shares} {size:>11,} {ms:>13.2f}")
    passing = [pair for pair in zip(speeds, candidates, strict=True) if _passes(pair[1].verification, strict)]
    if not passing:
        return max(candidates, key=lambda each: each.verification.parity.agreement)
    return min(passing, key=lambda pair: pair[0])[1]


def _report(outcome: Outcome, arguments: argparse.Namespace) -> None:
    artifact, verification = outcome.artifact, outcome.verification
    print(f"{artifact.path.name}: {verification.summary}")
    for each in verification.parity.sets:
        print(
            f"  {each.name}: {each.images:,} images; right {each.artifact_right / each.images:.2%},"
            f" trained model {each.reference_right / each.images:.2%}; same text {each.same_text / each.images:.2%}"
        )
    for change in verification.changes[:_LISTED]:
        path = change.dataset.entries[change.index].path
        _, reference, found = change.texts(artifact.spec.alphabet)
        print(f"  {path}: trained model {reference!r}, artifact {found!r}")
    if len(verification.changes) > _LISTED:
        more = "" if arguments.page else "; --page FILE shows them"
        print(f"  and {len(verification.changes) - _LISTED} more{more}")
    if verification.parity.verdict == "underpowered":
        print(
            f"  these images show an agreement of {verification.parity.agreement_shown:.2%}; give more to show the gate"
        )


def _write_results(
    arguments: argparse.Namespace, source: Source, outcomes: Sequence[Outcome], reference: Sequence[Readings]
) -> None:
    if arguments.page is None and arguments.results is None:
        return
    record = to_json(source.spec, source.sha256, outcomes, reference, arguments.images_are)
    if arguments.results is not None:
        write_atomically(arguments.results, record.encode())
        print(f"{arguments.results}: the results")
    if arguments.page is not None:
        origin = str(arguments.results or "this run")
        write_atomically(arguments.page, page(compose([from_json(record, origin)])).encode())
        print(f"{arguments.page}: the images")


def _passes(verification: Verification, strict: bool) -> bool:
    return verification.parity.verdict == "pass" or (verification.parity.verdict == "underpowered" and not strict)


def _gate(arguments: argparse.Namespace) -> Gate:
    return Gate(arguments.gate_agreement / 100, arguments.gate_accuracy)


def _source(path: Path, arguments: argparse.Namespace) -> Source:
    """The trained model, and a word on what of it is converted."""
    source = open_source(
        path,
        None if arguments.spec is None else load_spec(arguments.spec),
        architecture=arguments.architecture,
        recurrent_activation=arguments.recurrent_activation,
    )
    if source.head is not None:
        print(f"{source.path}: left out: the training head {source.head!r}")
    if source.graph.layers[-1].name == ADDED_SOFTMAX:
        print(f"{source.path} ends in logits: a softmax is added")
    return source


def _within(grammar: str | None, source: Source) -> Source:
    """The same model, whose artifacts read what a grammar allows."""
    if grammar is None:
        return source
    spec = source.spec
    compiled = Grammar.compile(grammar, spec.alphabet)
    compiled.check_fits(spec.output.classes, spec.blank, [spec.output.steps - spec.skip_steps])
    return replace(source, spec=replace(spec, decoder=replace(spec.decoder, method="beam", grammar=grammar)))


def _check_places(read: Sequence[Path], written: Sequence[Path | None]) -> None:
    taken = {path.resolve() for path in read}
    for place in filter(None, written):
        require_place(place)
        if place.resolve() in taken:
            raise OutputError(f"{place}: names two files of this run; name another for the page or the artifact")
        taken.add(place.resolve())


CONVERT = Command("convert a trained Keras CRNN, and verify that it reads the same", _convert_arguments, run_convert)
VERIFY = Command("verify converted models against the trained one", _verify_arguments, run_verify)
