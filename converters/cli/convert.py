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
from edge_crnn.files import write_atomically
from edge_crnn.model.artifact import save, sidecar
from edge_crnn.model.spec import Calibration

from ..graph.graph import Ranges
from ..graph.half import faint_weights
from ..pipeline import (
    attempts,
    calibrated,
    calibrated_with,
    choose,
    convert,
    latencies_ms,
    within,
)
from ..recipe import DEFAULT_RECIPE, ONNX_RECIPES, RECIPES, RECIPES_FOR, Recipe, Target
from ..report.verification import Outcome
from ..source import Source
from ..tensorrt.to_engine import how_to_build, to_engine
from ..verify.gate import Candidate
from ..verify.pictures import Pictures, seeded_pictures
from ..verify.search import keeping, search, table
from ..verify.sets import set_aside
from .arguments import add_gate_arguments, add_structure_arguments, check_places, gate_of, source_of
from .images import add_image_arguments, readings_of, sets_of
from .outcome import tell, write_results

_SUFFIXES: dict[Target, str] = {"tflite": ".tflite", "onnx": ".onnx", "tensorrt": ".engine"}
"""What `--to` can be → how its artifacts are named."""
_WITHOUT_IMAGES = "dynamic"
"""The recipe where the usual one lacks images to calibrate with."""


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
        + f"; without any images, {_WITHOUT_IMAGES} for tflite. auto, not for tensorrt: tries them all and takes the"
        " fastest that passes",
    )
    parser.add_argument(
        "--float",
        type=lambda text: text.split(","),
        default=[],
        metavar="LAYER,…|auto",
        help="layers that stay float32 whatever the recipe says, by the names that verify --localise shows; auto: where"
        " the gate is not met, those that are to blame. Not for tensorrt",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="where the artifact goes (default: the model's name with another suffix, in the current folder)",
    )
    parser.add_argument("--dry-run", action="store_true", help="convert and verify, but write nothing")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="images that set the ranges of int8 (default: some of those to verify with, which then do not verify)",
    )
    add_image_arguments(parser, "--verify")
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
    target: Path = arguments.output or Path(arguments.model.stem + _SUFFIXES[arguments.to])
    if target.suffix != _SUFFIXES[arguments.to]:
        raise OutputError(
            f"{target}: the output must end in {_SUFFIXES[arguments.to]} with --to {arguments.to}; rename it or change"
            " --to"
        )
    engine = target if arguments.to == "tensorrt" else None
    if engine is not None:
        target = engine.with_suffix(".onnx")
    grammar = grammar_of(arguments.grammar)
    source = within(source_of(arguments.model, arguments), grammar)
    if not arguments.dry_run:
        check_places([arguments.model], [target, engine, arguments.page, arguments.results])
    recipes = _recipes(arguments)
    if arguments.float not in ([], ["auto"]):
        recipes = [keeping(recipe, arguments.float, source.graph) for recipe in recipes]
    datasets = sets_of(arguments, source.spec) or [seeded_pictures(source.spec.input)]
    calibration = None
    if any(recipe.needs_calibration for recipe in recipes):
        datasets, calibration = _calibrate(source, datasets, arguments.calibration)
    reference = readings_of(arguments, source, datasets)

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
    if not arguments.dry_run:
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
    if arguments.dry_run:
        print(
            f"dry run: {target} was not written, about {len(chosen.artifact.payload):,} bytes, recipe {facts.headline}"
        )
        return 0
    save(target, chosen.artifact.payload, chosen.verified.spec)
    verdict = chosen.verification.parity.verdict
    print(f"wrote {target}: {target.stat().st_size:,} bytes, recipe {facts.headline}, verdict {verdict}")
    if source.unwritten is not None:
        write_atomically(sidecar(source.path), source.unwritten.encode())
        print(f"wrote {sidecar(source.path)}: the spec of the trained model")
    if verdict == "unverified":
        print(f"to verify it: edge-crnn verify {source.path} {target} --labelled DIR, or --images DIR without labels")
    if engine is not None:
        _build(target, engine, arguments.batch)
    return 0


def _calibrate(
    source: Source, datasets: list[Dataset], folder: Path | None
) -> tuple[list[Dataset], tuple[Ranges, Calibration]]:
    """Ranges from the images of a folder, else from some of the datasets; and the datasets that are left."""
    if folder is not None:
        found = calibrated(source, folder, [each for each in datasets if not isinstance(each, Pictures)])
        print(f"calibrated with {found[1].images} images of {folder}")
        return datasets, found
    kept, aside = set_aside(datasets)
    print(f"calibrated with {len(aside)} of the images, which are left out of the verification")
    return kept, calibrated_with(source, aside)


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
    verified = bool(arguments.labelled or arguments.images)
    calibrates = verified or arguments.calibration is not None
    if not verified and (arguments.page or arguments.results):
        raise InputError("--page and --results are about images; add --images DIR or --labelled DIR, or leave them out")
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
        if recipes[wish].needs_calibration and not calibrates:
            if arguments.recipe is not None:
                raise DatasetError(
                    f"recipe {wish} needs images to calibrate with; add --images DIR, of which some calibrate and the"
                    " others verify, or --calibration DIR"
                )
            print(f"no images: recipe {_WITHOUT_IMAGES} in place of {wish}; add --images DIR for {wish}")
            wish = _WITHOUT_IMAGES
        return [recipes[wish]]
    known = [each for each in recipes.values() if calibrates or not each.needs_calibration]
    if len(known) < len(recipes):
        print("auto: recipes that need calibration are left out; add --images DIR or --calibration DIR to try them")
    return known


def _choose(candidates: Sequence[Candidate], dataset: Dataset, strict: bool) -> Candidate:
    """Measure all of them, show what that gave, and take one."""
    speeds = latencies_ms(candidates, dataset)
    print(f"{'recipe':<13} {'verdict':<13} {'agreement':>9} {'accuracy':>9} {'bytes':>11} {'ms, 1 thread':>13}")
    for each, ms in zip(candidates, speeds, strict=True):
        parity = each.verification.parity
        labelled = [one for one in parity.sets if one.labelled]
        images = sum(one.images for one in labelled)
        right = f"{sum(one.artifact_right for one in labelled) / images:.2%}" if images else ""
        size = len(each.artifact.payload)
        shares = f"{parity.agreement:>9.2%} {right:>9}"
        print(f"{each.recipe.name:<13} {parity.verdict:<13} {shares} {size:>11,} {ms:>13.2f}")
    return choose(candidates, speeds, strict)


CONVERT = Command("convert a trained Keras CRNN, and verify that it reads the same", add_arguments, run)
