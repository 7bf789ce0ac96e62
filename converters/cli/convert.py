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
from edge_crnn.model.artifact import save

from ..graph.half import faint_weights
from ..pipeline import (
    attempts,
    calibrated,
    choose,
    convert,
    latencies_ms,
    load_sets,
    reference_readings,
    within,
)
from ..recipe import DEFAULT_RECIPE, ONNX_RECIPES, RECIPES, RECIPES_FOR, Recipe, Target
from ..report.verification import Outcome
from ..tensorrt.to_engine import how_to_build, to_engine
from ..verify.gate import Candidate
from ..verify.search import keeping, search, table
from .arguments import add_gate_arguments, add_structure_arguments, check_places, gate_of, source_of
from .outcome import tell, write_results

_SUFFIXES: dict[Target, str] = {"tflite": ".tflite", "onnx": ".onnx", "tensorrt": ".engine"}
"""What `--to` can be → how its artifacts are named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `convert`."""
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
    add_structure_arguments(parser)
    parser.add_argument(
        "--batch",
        type=at_least(1),
        metavar="N",
        help="images per call: always so many for tflite (default: 1), at most for tensorrt (default: 32)",
    )
    parser.add_argument("--float-input", action="store_true", help="take the network's float32 input, not pixels")
    add_grammar_argument(parser, "what the artifact reads unless told otherwise, with a beam")
    add_gate_arguments(parser)


def _said(recipes: Mapping[str, Recipe]) -> str:
    return "; ".join(f"{name}, {recipe.summary}" for name, recipe in recipes.items())


def run(arguments: argparse.Namespace) -> int:
    """Convert, verify, and write the artifact if it passes."""
    target: Path = arguments.output
    if target.suffix != _SUFFIXES[arguments.to]:
        raise OutputError(
            f"{target}: --to {arguments.to} writes a NAME{_SUFFIXES[arguments.to]}, which is found by it; name it so"
        )
    engine = target if arguments.to == "tensorrt" else None
    if engine is not None:
        target = engine.with_suffix(".onnx")
    check_places([arguments.model], [target, engine, arguments.page, arguments.results])
    recipes = _recipes(arguments)
    grammar = grammar_of(arguments.grammar)
    source = within(source_of(arguments.model, arguments), grammar)
    if arguments.float not in ([], ["auto"]):
        recipes = [keeping(recipe, arguments.float, source.graph) for recipe in recipes]
    datasets = load_sets(arguments.verify, source.spec)
    calibration = None
    if any(recipe.needs_calibration for recipe in recipes):
        calibration = calibrated(source, arguments.calibration, datasets)
        print(f"calibrated with {calibration[1].images} images of {arguments.calibration}")
    reference = reference_readings(source, datasets)

    def make(recipe: Recipe) -> Candidate:
        return convert(
            source, target, recipe, datasets, reference, gate_of(arguments), calibration,
            batch=arguments.batch or 1, takes_pixels=not arguments.float_input,
        )  # fmt: skip

    def keep_what_is_to_blame(recipe: Recipe) -> Candidate:
        return search(
            recipe, source.graph, source.spec.input, datasets, make, lambda each: each.passes(arguments.strict)
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
    write_results(arguments, source, [outcome], reference)
    for line in faint_weights(source.graph, chosen.recipe):
        print(f"  {line}")
    if "half" in (chosen.recipe.stack, chosen.recipe.head):
        print("  float16 was verified as this CPU computes it, most of it in float32; verify it on the device, too")
    if not chosen.verification.passes(arguments.strict):
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
    """Measure all of them, show what that gave, and take one."""
    speeds = latencies_ms(candidates, dataset)
    print(f"{'recipe':<13} {'verdict':<13} {'agreement':>9} {'accuracy':>9} {'bytes':>11} {'ms, 1 thread':>13}")
    for each, ms in zip(candidates, speeds, strict=True):
        parity = each.verification.parity
        right = sum(one.artifact_right for one in parity.sets) / parity.images
        size = len(each.artifact.payload)
        shares = f"{parity.agreement:>9.2%} {right:>9.2%}"
        print(f"{each.recipe.name:<13} {parity.verdict:<13} {shares} {size:>11,} {ms:>13.2f}")
    return choose(candidates, speeds, strict)


CONVERT = Command("convert a trained Keras CRNN, and verify that it reads the same", add_arguments, run)
