"""The command `edge-crnn convert`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.backends.tensorrt.process import is_there
from edge_crnn.cli.command import Command, at_least
from edge_crnn.cli.knowledge import add_grammar_argument, grammar_of
from edge_crnn.dataset import Dataset
from edge_crnn.errors import (
    DatasetError,
    InputError,
    OutputError,
    VerificationError,
)
from edge_crnn.files import require_place
from edge_crnn.model.artifact import sidecar

from ..graph.half import faint_weights
from ..pipeline import (
    attempts,
    calibrated_for,
    choose,
    convert,
    latencies_ms,
    within,
    write,
)
from ..recipe import DEFAULT_RECIPE, ONNX_RECIPES, RECIPES, RECIPES_FOR, WITHOUT_IMAGES, Recipe, Target
from ..report.verification import Outcome
from ..tensorrt.to_engine import how_to_build, to_engine
from ..verify.gate import Candidate
from ..verify.pictures import seeded_pictures
from ..verify.search import keeping, search, table
from .arguments import add_gate_arguments, add_structure_arguments, check_places, gate_of, source_of
from .images import add_image_arguments, readings_of, sets_of
from .outcome import tell, write_results

_SUFFIXES: dict[Target, str] = {"tflite": ".tflite", "onnx": ".onnx", "tensorrt": ".engine"}
"""What `--to` can be → how its artifacts are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `convert`."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="trained CRNN: .keras, .h5 or TensorFlow 1 checkpoint"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the converted model, NAME.tflite, NAME.onnx or NAME.engine (default: the model's name in the current"
        " folder)",
    )
    parser.add_argument(
        "--to",
        choices=tuple(_SUFFIXES),
        help="target (default: as the suffix of -o says, else tflite); tensorrt writes an .onnx and, where TensorRT is"
        " installed, builds the .engine from it",
    )
    parser.add_argument(
        "--recipe",
        choices=("auto", *dict.fromkeys(name for target in _SUFFIXES for name in RECIPES_FOR[target])),
        metavar="NAME",
        help=f"precision. For tflite: {_listed(RECIPES)}. For onnx and tensorrt: {_listed(ONNX_RECIPES)}. auto: try"
        " all and take the fastest that passes, not for tensorrt (default: "
        + ", ".join(f"{recipe} for {target}" for target, recipe in DEFAULT_RECIPE.items())
        + f"; {WITHOUT_IMAGES} for tflite without images)",
    )
    parser.add_argument(
        "--float",
        type=lambda text: text.split(","),
        default=[],
        metavar="LAYER,…|auto",
        help="keep these layers in float32, by the names that verify --localise shows; auto: if the gate is not met,"
        " find the layers to blame; not for tensorrt",
    )
    parser.add_argument(
        "--batch",
        type=at_least(1),
        metavar="N",
        help="images per call: a fixed number for tflite (default: 1), the most for tensorrt (default: 32)",
    )
    parser.add_argument(
        "--float-input", action="store_true", help="let the model take its network's float32 input instead of pixels"
    )
    add_grammar_argument(parser, "grammar that the converted model reads by default, with a beam")
    parser.add_argument("--dry-run", action="store_true", help="convert and verify, but write nothing")
    add_image_arguments(
        parser, "images that set the ranges of int8 (default: some of the other images, which then do not verify)"
    )
    add_gate_arguments(parser)
    add_structure_arguments(parser)


def _listed(recipes: Mapping[str, Recipe]) -> str:
    return "; ".join(f"{name} ({recipe.summary})" for name, recipe in recipes.items())


def _target_of(arguments: argparse.Namespace) -> tuple[Target, Path]:
    """Return what to convert to and where to write it.

    Raises:
        OutputError: the suffix of the output is none of a target, or contradicts `--to`.
    """
    output: Path | None = arguments.output
    wish: Target | None = arguments.to
    if output is None:
        target = wish or "tflite"
        return target, Path(arguments.model.stem + _SUFFIXES[target])
    if wish is not None and output.suffix != _SUFFIXES[wish]:
        raise OutputError(
            f"{output}: the output must end in {_SUFFIXES[wish]} with --to {wish}; rename it or change --to"
        )
    for target, suffix in _SUFFIXES.items():
        if output.suffix == suffix:
            return target, output
    raise OutputError(f"{output}: the output must end in {', '.join(_SUFFIXES.values())}")


def run(arguments: argparse.Namespace) -> int:
    """Convert, verify, and write the artifact if it passes."""
    arguments.to, target = _target_of(arguments)
    engine = target if arguments.to == "tensorrt" else None
    if engine is not None:
        target = engine.with_suffix(".onnx")
    grammar = grammar_of(arguments.grammar)
    recipes = _recipes(arguments)
    if not arguments.dry_run:
        read = [arguments.model, sidecar(arguments.model), *filter(None, [arguments.spec])]
        check_places(read, [target, engine, arguments.page, arguments.results])
    source = within(source_of(arguments.model, arguments), grammar)
    if source.unwritten is not None and not arguments.dry_run:
        require_place(sidecar(source.path))
    if arguments.float not in ([], ["auto"]):
        recipes = [keeping(recipe, arguments.float, source.graph) for recipe in recipes]
    datasets = sets_of(arguments, source.spec) or [seeded_pictures(source.spec.input)]
    calibration = None
    if any(recipe.needs_calibration for recipe in recipes):
        datasets, calibration = calibrated_for(source, datasets, arguments.calibration)
        count = calibration[1].images
        if arguments.calibration is None:
            print(f"calibrated with {count} of the images, which are left out of the verification")
        else:
            print(f"calibrated with {count} images of {arguments.calibration}")
    reference = readings_of(arguments, source, datasets)

    def make(recipe: Recipe) -> Candidate:
        return convert(
            source, target, recipe, datasets, reference, gate_of(arguments), calibration,
            batch=arguments.batch or 1, takes_pixels=not arguments.float_input,
        )  # fmt: skip

    def keep_what_is_to_blame(recipe: Recipe) -> Candidate:
        return search(
            recipe,
            source.graph,
            source.spec.input,
            datasets,
            make,
            lambda candidate: candidate.passes(arguments.strict),
        )

    candidates = attempts(
        recipes,
        keep_what_is_to_blame if arguments.float == ["auto"] else make,
        lambda recipe, error: print(f"{recipe.name}: {error}"),
    )
    chosen = _choose(candidates, datasets[0], arguments.strict) if arguments.recipe == "auto" else candidates[0]
    outcome = Outcome(chosen.artifact, chosen.verification, chosen.readings)
    facts = chosen.artifact.spec.artifact
    assert facts is not None  # `convert` made it
    for line in table(facts.trials or ()):
        print(line)
    tell(outcome, arguments)
    if not arguments.dry_run:
        write_results(arguments, source, [outcome], reference)
    for line in faint_weights(source.graph, chosen.recipe):
        print(f"  {line}")
    if "half" in (chosen.recipe.stack, chosen.recipe.head):
        print("  this CPU computes most of float16 in float32; verify again on the device")
    if not chosen.verification.passes(arguments.strict):
        kept = "; the existing file is unchanged" if target.exists() else ""
        searched = arguments.float or engine is not None or arguments.recipe in ("auto", "float32")
        advice = "" if searched else "; --float auto keeps the layers to blame in float32"
        raise VerificationError(f"{target.name} does not meet the gate and was not written{kept}{advice}")
    if arguments.dry_run:
        print(
            f"dry run: {target} was not written; it would have about {len(chosen.artifact.payload):,} bytes, recipe"
            f" {facts.headline}"
        )
        return 0
    beside = write(target, chosen, source)
    verdict = chosen.verification.parity.verdict
    print(f"wrote {target}: {target.stat().st_size:,} bytes, recipe {facts.headline}, verdict {verdict}")
    if beside is not None:
        print(f"wrote {beside}: the spec of the trained model")
    if verdict == "unverified":
        print(f"next: edge-crnn verify {source.path} {target} --labelled DIR, or --images DIR without labels")
    if engine is not None:
        _build(target, engine, arguments.batch)
    return 0


def _build(onnx: Path, engine: Path, batch: int | None) -> None:
    usual = BuildOptions()
    options = usual if batch is None else replace(usual, batches=(1, min(usual.batches[1], batch), batch))
    if not is_there():
        print(f"TensorRT is not installed here, so {engine} was not built")
        print(how_to_build(onnx, engine, options))
        return
    made = to_engine(onnx, engine, options)
    print(f"wrote {engine}: {len(made.payload):,} bytes, for up to {options.batches[2]} images, for this GPU only")


def _recipes(arguments: argparse.Namespace) -> list[Recipe]:
    recipes, wish = RECIPES_FOR[arguments.to], arguments.recipe or DEFAULT_RECIPE[arguments.to]
    verified = bool(arguments.labelled or arguments.images)
    calibrates = verified or arguments.calibration is not None
    if not verified and (arguments.page or arguments.results):
        raise InputError("--page and --results need images; add --labelled DIR or --images DIR")
    if arguments.to == "onnx" and arguments.batch is not None:
        raise InputError("--batch does not apply to --to onnx, which takes any number of images; leave it out")
    if arguments.float and arguments.to == "tensorrt":
        raise InputError(
            "--float does not apply to --to tensorrt, whose convolutions must all be float16; leave it out"
        )
    if arguments.float and wish == "auto":
        raise InputError("--float does not go with --recipe auto; name one recipe")
    if arguments.to == "tensorrt" and wish == "auto":
        raise InputError("--recipe auto does not apply to --to tensorrt, since it measures on this CPU; name a recipe")
    if wish != "auto":
        if wish not in recipes:
            raise InputError(f"recipe {wish} does not apply to --to {arguments.to}; choose from {', '.join(recipes)}")
        if recipes[wish].needs_calibration and not calibrates:
            if arguments.recipe is not None:
                raise DatasetError(
                    f"recipe {wish} needs images for calibration; add --labelled DIR, --images DIR or --calibration DIR"
                )
            print(
                f"no images: using recipe {WITHOUT_IMAGES} instead of {wish}; for {wish}, add --labelled DIR or"
                " --images DIR"
            )
            wish = WITHOUT_IMAGES
        return [recipes[wish]]
    known = [recipe for recipe in recipes.values() if calibrates or not recipe.needs_calibration]
    if len(known) < len(recipes):
        print("auto: skips recipes that need calibration; add --images DIR or --calibration DIR to try them")
    return known


def _choose(candidates: Sequence[Candidate], dataset: Dataset, strict: bool) -> Candidate:
    """Measure the speed of all candidates, print a table, and choose one."""
    speeds = latencies_ms(candidates, dataset)
    print(f"{'recipe':<13} {'verdict':<13} {'agreement':>9} {'accuracy':>9} {'bytes':>11} {'ms, 1 thread':>13}")
    for candidate, ms in zip(candidates, speeds, strict=True):
        parity = candidate.verification.parity
        labelled = [part for part in parity.sets if part.labelled]
        images = sum(part.images for part in labelled)
        right = f"{sum(part.artifact_right for part in labelled) / images:.2%}" if images else ""
        size = len(candidate.artifact.payload)
        shares = f"{parity.agreement:>9.2%} {right:>9}"
        print(f"{candidate.recipe.name:<13} {parity.verdict:<13} {shares} {size:>11,} {ms:>13.2f}")
    return choose(candidates, speeds, strict)


CONVERT = Command(
    "convert a trained model and verify that it reads the same text",
    add_arguments,
    run,
    details="Writes the converted model only if it reads the same text as the trained model on your images, as far as"
    " the gate asks; otherwise exits with 3.",
    examples=(
        "convert model.keras -o model.tflite --labelled images",
        "convert model.keras -o model.onnx --images images-without-labels",
        "convert model.keras --labelled images --recipe auto --page page.html",
    ),
    renamed={"--verify": "--labelled"},
)
