"""The command `edge-crnn convert`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_crnn.backends.tensorrt.build import BuildOptions
from edge_crnn.backends.tensorrt.process import is_there
from edge_crnn.bounds import BATCH
from edge_crnn.cli.command import Command, at_least
from edge_crnn.cli.knowledge import add_grammar_argument, grammar_of
from edge_crnn.dataset import Dataset
from edge_crnn.errors import InputError, OutputError, VerificationError
from edge_crnn.files import require_place
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import ArtifactFacts, Calibration

from ..graph.graph import Ranges
from ..graph.half import faint_weights
from ..pipeline import calibrated_for, convert, within, write
from ..recipe import (
    AUTO,
    DEFAULT_RECIPE,
    ONNX_RECIPES,
    RECIPES,
    RECIPES_FOR,
    WITHOUT_IMAGES,
    Recipe,
    Target,
    recipes_to_try,
)
from ..report.verification import Outcome
from ..source import Source
from ..tensorrt.to_engine import how_to_build, to_engine
from ..verify.choice import attempts, choose, latencies_ms
from ..verify.gate import Candidate, Readings, Verification
from ..verify.search import keeping, search, table
from ..verify.seeded import seeded_images
from .arguments import add_gate_arguments, add_structure_arguments, gate_of, source_of, teacher_of
from .images import add_image_arguments, readings_of, sets_of
from .outcome import tell, write_results
from .places import check_places

_SUFFIXES: dict[Target, str] = {"tflite": ".tflite", "onnx": ".onnx", "tensorrt": ".engine"}
"""Value of `--to` → suffix of its artifacts."""
_HOW_TO_CALIBRATE = "add --labelled DIR, --images DIR or --calibration DIR"


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
        help="format to convert to (default: by the suffix of -o, otherwise tflite); tensorrt writes an .onnx and, if"
        " TensorRT is installed, builds the .engine from it",
    )
    parser.add_argument(
        "--recipe",
        choices=(AUTO, *dict.fromkeys(name for target in _SUFFIXES for name in RECIPES_FOR[target])),
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
        " find the layers to keep; not for tensorrt",
    )
    parser.add_argument(
        "--batch",
        type=at_least(*BATCH),
        metavar="N",
        help="images per call: the exact number for tflite (default: 1), the maximum for tensorrt (default: 32)",
    )
    parser.add_argument(
        "--float-input", action="store_true", help="make the model take its network's float32 input instead of pixels"
    )
    add_grammar_argument(parser, "grammar that the converted model uses by default, with a beam")
    parser.add_argument("--dry-run", action="store_true", help="convert and verify, but write nothing")
    add_image_arguments(
        parser,
        "images that set the ranges of int8 (default: some of the other images, which are then not used to verify)",
    )
    add_gate_arguments(parser)
    add_structure_arguments(parser)


def _listed(recipes: Mapping[str, Recipe]) -> str:
    return "; ".join(f"{name} ({recipe.summary})" for name, recipe in recipes.items())


@dataclass(frozen=True)
class _Outputs:
    """The files that a run writes."""

    target: Target
    converted: Path
    """The `.tflite` or `.onnx`."""
    engine: Path | None
    """The engine that is built from an `.onnx`."""


def run(arguments: argparse.Namespace) -> int:
    """Convert, verify, and write the artifact if it passes."""
    outputs = _outputs(arguments)
    grammar = grammar_of(arguments.grammar)
    recipes = _recipes(arguments, outputs.target)
    if not arguments.dry_run:
        inputs = [arguments.model, sidecar(arguments.model), *filter(None, [arguments.spec])]
        check_places(inputs, [outputs.converted, outputs.engine, arguments.page, arguments.results])
    source = within(source_of(arguments.model, arguments), grammar)
    if arguments.labelled or arguments.images:
        source = teacher_of(source, arguments)
    if source.unwritten is not None and not arguments.dry_run:
        require_place(sidecar(source.path))
    if arguments.float not in ([], ["auto"]):
        recipes = [keeping(recipe, arguments.float, source.graph) for recipe in recipes]
    datasets, calibration = _datasets(arguments, source, recipes)
    reference = readings_of(arguments, source, datasets)
    chosen = _convert(arguments, outputs.converted, source, recipes, datasets, reference, calibration)
    _show(arguments, source, chosen, reference)
    if not chosen.verification.passes(arguments.strict):
        raise VerificationError(_not_met(arguments, outputs, chosen))
    if arguments.dry_run:
        print(
            f"dry run: {outputs.converted} was not written; it would have about"
            f" {len(chosen.artifact.payload):,} bytes, recipe {_facts(chosen).headline}"
        )
        return 0
    _write(outputs.converted, chosen, source)
    if outputs.engine is not None:
        _build(outputs.converted, outputs.engine, arguments.batch)
    return 0


def _outputs(arguments: argparse.Namespace) -> _Outputs:
    """Return what to convert to and where to write it.

    Raises:
        OutputError: the suffix of the output is none of a target, or contradicts `--to`.
    """
    output: Path | None = arguments.output
    target: Target | None = arguments.to
    if output is None:
        target = target or "tflite"
        output = Path(arguments.model.stem + _SUFFIXES[target])
    if target is None:
        target = next((name for name, suffix in _SUFFIXES.items() if suffix == output.suffix), None)
        if target is None:
            raise OutputError(f"{output}: the output must end in {', '.join(_SUFFIXES.values())}")
    if output.suffix != _SUFFIXES[target]:
        raise OutputError(
            f"{output}: the output must end in {_SUFFIXES[target]} with --to {target}; rename it or change --to"
        )
    if target == "tensorrt":
        return _Outputs(target, output.with_suffix(".onnx"), output)
    return _Outputs(target, output, None)


def _recipes(arguments: argparse.Namespace, target: Target) -> list[Recipe]:
    """Return the recipes to try, and print which ones need images that are missing.

    Raises:
        InputError: options contradict one another.
        DatasetError: the recipe needs images to calibrate with, and no option names any.
    """
    verified = bool(arguments.labelled or arguments.images)
    if not verified and (arguments.page or arguments.results):
        raise InputError("--page and --results need images; add --labelled DIR or --images DIR")
    if not verified and arguments.teacher is not None:
        raise InputError("--teacher needs images to compare with; add --labelled DIR or --images DIR")
    if target == "onnx" and arguments.batch is not None:
        raise InputError("--batch does not apply to --to onnx, which takes any number of images; leave it out")
    if target == "tensorrt" and arguments.float:
        raise InputError(
            "--float does not apply to --to tensorrt, whose convolutions must all be float16; leave it out"
        )
    if arguments.recipe == AUTO and arguments.float:
        raise InputError("--float does not go with --recipe auto; name one recipe")
    has_images = verified or arguments.calibration is not None
    recipes, note = recipes_to_try(target, arguments.recipe, has_images=has_images, remedy=_HOW_TO_CALIBRATE)
    if note is not None:
        print(note)
    return recipes


def _datasets(
    arguments: argparse.Namespace, source: Source, recipes: Sequence[Recipe]
) -> tuple[list[Dataset], tuple[Ranges, Calibration] | None]:
    """Load the images to verify with, and calibrate if a recipe needs it."""
    datasets = sets_of(arguments, source.spec) or [seeded_images(source.spec.input)]
    datasets, calibration = calibrated_for(source, recipes, datasets, arguments.calibration, arguments.recursive)
    if calibration is None:
        return datasets, None
    count = calibration[1].images
    if arguments.calibration is None:
        print(f"calibrated with {count} of the images, which are left out of the verification")
    else:
        print(f"calibrated with {count} images of {arguments.calibration}")
    return datasets, calibration


def _convert(
    arguments: argparse.Namespace,
    path: Path,
    source: Source,
    recipes: Sequence[Recipe],
    datasets: Sequence[Dataset],
    reference: Sequence[Readings],
    calibration: tuple[Ranges, Calibration] | None,
) -> Candidate:
    """Convert by all recipes, and return the candidate to keep."""

    def make(recipe: Recipe) -> Candidate:
        return convert(
            source, path, recipe, datasets, reference, gate_of(arguments), calibration,
            batch=arguments.batch or 1, takes_pixels=not arguments.float_input,
        )  # fmt: skip

    def passes(verification: Verification) -> bool:
        return verification.passes(arguments.strict)

    def make_with_float_layers(recipe: Recipe) -> Candidate:
        return search(recipe, source.graph, source.spec.input, datasets, make, passes)

    candidates = attempts(
        recipes,
        make_with_float_layers if arguments.float == ["auto"] else make,
        lambda recipe, error: print(f"{recipe.name}: {error}"),
    )
    return _choose(candidates, datasets[0], arguments.strict) if arguments.recipe == AUTO else candidates[0]


def _show(arguments: argparse.Namespace, source: Source, chosen: Candidate, reference: Sequence[Readings]) -> None:
    """Print the verdict with its details, and write the results that the options name."""
    outcome = Outcome(chosen.artifact, chosen.verification, chosen.readings)
    for line in table(_facts(chosen).trials or ()):
        print(line)
    tell(outcome, arguments)
    if not arguments.dry_run:
        write_results(arguments, source, [outcome], reference)
    for line in faint_weights(source.graph, chosen.recipe):
        print(f"  {line}")
    if "half" in (chosen.recipe.stack, chosen.recipe.head):
        print("  this CPU computes most of float16 in float32; verify again on the device")


def _not_met(arguments: argparse.Namespace, outputs: _Outputs, chosen: Candidate) -> str:
    if chosen.verification.parity.verdict == "underpowered":
        return (
            f"{outputs.converted.name} was not written: too few images for the gate, and --strict was given; give more"
            " images (docs/concepts.md says how many)"
        )
    unchanged = "; the existing file is unchanged" if outputs.converted.exists() else ""
    may_search = not arguments.float and outputs.engine is None and arguments.recipe not in (AUTO, "float32")
    advice = "; try other calibration images, --recipe auto, or --float auto" if may_search else ""
    if chosen.artifact.spec.teacher is not None:
        advice += "" if chosen.recipe.name == "float32" else "; try --recipe float32"
        advice += "; if the slimmed network itself changes texts, slim it less: edge-crnn slim --to SHARE"
    return f"{outputs.converted.name} does not meet the gate and was not written{unchanged}{advice}"


def _facts(candidate: Candidate) -> ArtifactFacts:
    facts = candidate.artifact.spec.artifact
    assert facts is not None  # `convert` wrote them
    return facts


def _write(path: Path, chosen: Candidate, source: Source) -> None:
    """Write the artifact, and the spec beside the trained model if it is new."""
    beside = write(path, chosen, source)
    verdict = chosen.verification.parity.verdict
    print(f"wrote {path}: {path.stat().st_size:,} bytes, recipe {_facts(chosen).headline}, verdict {verdict}")
    if beside is not None:
        print(f"wrote {beside}: the spec of the trained model")
    if verdict == "unverified":
        print(f"next: edge-crnn verify {source.path} {path} --labelled DIR, or --images DIR without labels")


def _build(onnx: Path, path: Path, batch: int | None) -> None:
    """Build the engine; without TensorRT, print how to build it on the device."""
    default = BuildOptions()
    options = default if batch is None else replace(default, batches=(1, min(default.batches[1], batch), batch))
    if not is_there():
        print(f"TensorRT is not installed here, so {path} was not built")
        print(how_to_build(onnx, path, options))
        return
    engine = to_engine(onnx, path, options)
    print(f"wrote {path}: {len(engine.payload):,} bytes, for up to {options.batches[2]} images, for this GPU only")


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
    details="Compares the texts that both models read in your images. If the converted model misses a limit of the"
    " gate, it is not written, and the exit status is 3. If there are too few images to tell, or none, it is written"
    " and marked underpowered or unverified, unless you add --strict.",
    examples=(
        "convert model.keras -o model.tflite --labelled images",
        "convert model.keras -o model.onnx --images images-without-labels",
        "convert model.keras --labelled images --recipe auto --page page.html",
    ),
    renamed={"--verify": "--labelled"},
)
