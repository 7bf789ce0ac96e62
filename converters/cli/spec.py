"""The command `edge-crnn spec`."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from edge_crnn.cli.command import Command, at_least
from edge_crnn.cli.labels import add_label_arguments, label_rules_of
from edge_crnn.dataset import DEFAULT_RULES, find_images, load_texts
from edge_crnn.errors import InputError, ModelSpecError, VerificationError
from edge_crnn.files import write_atomically
from edge_crnn.images import load_image
from edge_crnn.model.artifact import sidecar
from edge_crnn.model.spec import ModelSpec

from ..conventions.complete import essential, filled
from ..conventions.declared import Draft, read_draft
from ..conventions.measure.findings import table
from ..conventions.measure.measure import measure
from ..source import Opened, open_draft
from .arguments import add_structure_arguments, declarations_of
from .places import check_places

_COUNT = 200
_SHOWN = 3
_T = TypeVar("_T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `spec`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="trained CRNN: .keras or .h5")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the spec to write (default: MODEL.json)")
    parser.add_argument("--anew", action="store_true", help="ignore an existing spec and measure everything again")
    group = parser.add_argument_group("images")
    images = group.add_mutually_exclusive_group()
    images.add_argument("--labelled", type=Path, metavar="DIR", help="images with labels, on which to measure")
    images.add_argument(
        "--images", type=Path, metavar="DIR", help="the same as --labelled; with --unlabelled, without labels"
    )
    group.add_argument(
        "--unlabelled",
        action="store_true",
        help="rank choices by the confidence of the network instead of by labels, which is weaker evidence",
    )
    group.add_argument(
        "--count", type=at_least(5), default=_COUNT, metavar="N", help="number of images to use (default: %(default)s)"
    )
    add_label_arguments(parser)
    add_structure_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the findings, and write the spec."""
    if arguments.anew and arguments.spec is not None:
        raise InputError("--anew ignores a spec, --spec names one; leave one of them out")
    folder: Path | None = arguments.labelled or arguments.images
    opened = open_draft(
        arguments.model,
        _written(arguments),
        declared=declarations_of(arguments),
        origin=None if arguments.spec is None else str(arguments.spec),
        architecture=arguments.architecture,
        recurrent_activation=arguments.recurrent_activation,
        layers=arguments.layers,
    )
    facts = opened.facts
    target: Path = arguments.output or sidecar(facts.path)
    check_places([facts.path], [target])
    facts.require_network()
    if folder is None:
        draft, missing = filled(opened.draft, facts)
        if missing:
            raise ModelSpecError(
                f"{facts.path} does not say {', '.join(missing)}; add these options, or --labelled DIR to measure them"
            )
    else:
        draft = _measured(arguments, folder, opened)
    spec = ModelSpec.from_json(json.dumps(draft), origin=f"spec of {facts.path.name}")
    write_atomically(target, f"{essential(spec)}\n".encode())
    where = "" if target == sidecar(facts.path) else f" --spec {target}"
    print(f"wrote {target}; next: edge-crnn convert {arguments.model}{where} --labelled DIR")
    return 0


def _written(arguments: argparse.Namespace) -> Draft | None:
    """The spec to begin with; None: the one beside the model. No measurement shows what a model was slimmed from."""
    if arguments.anew:
        existing: Draft = {}
        with contextlib.suppress(ModelSpecError):  # a damaged spec is a reason to write another
            existing = read_draft(sidecar(arguments.model))
        return {name: value for name, value in existing.items() if name == "teacher"}
    return None if arguments.spec is None else read_draft(arguments.spec)


def _measured(arguments: argparse.Namespace, folder: Path, opened: Opened) -> Draft:
    if arguments.unlabelled:
        if label_rules_of(arguments) != replace(DEFAULT_RULES, recursive=arguments.recursive):
            raise InputError("options about labels do not go with --unlabelled; leave one of them out")
        paths, texts = find_images(folder, arguments.recursive), None
        paths = _some(paths, arguments.count)
    else:
        pairs = _some(load_texts(folder, label_rules_of(arguments)), arguments.count)
        paths, texts = [path for path, _ in pairs], [text for _, text in pairs]
    started = time.perf_counter()
    try:
        measured = measure(opened.draft, opened.facts, [load_image(path) for path in paths], texts)
    except VerificationError as error:
        if texts is None:
            raise
        raise VerificationError(
            f"{error}. The label of {paths[0].name} was taken to be {texts[0]!r}; if that is wrong, say where the label"
            " is, such as --label-pattern '{index}_{label}'"
        ) from error
    seconds = time.perf_counter() - started
    kind = "labelled images" if texts is not None else "images without labels"
    print(f"{opened.facts.path} on {len(paths)} {kind}, {seconds:.0f} s, {measured.runs:,} inferences")
    if measured.kept:
        print(f"not measured, since options or the existing spec state it: {', '.join(measured.kept)}")
    measure_name = "images read correctly" if texts is not None else "confidence of the network"
    print(f"{measure_name} with each choice, all other settings as in the best result:")
    print(*table(measured.findings), *measured.notes, sep="\n")
    if any(finding.unsure for finding in measured.findings):
        print("These images do not tell the choices marked as unsure apart; the first one is written.")
    draft = measured.draft
    print(
        f"alphabet       {''.join(draft['symbols'])!r}, blank {draft['blank']}, unused {draft.get('unused') or 'none'}"
    )
    for path, text in list(zip(paths, measured.read, strict=True))[:_SHOWN]:
        print(f"  {path.name}: {text!r}")
    if texts is None:
        print(
            f"reads some text in {measured.right} of {measured.images} images. Without labels nothing shows that it is"
            " correct: compare it with the images"
        )
    else:
        print(f"reads {measured.right} of {measured.images} images as labelled")
    return draft


def _some(items: Sequence[_T], most: int) -> list[_T]:
    """Return at most `most` items, evenly spread."""
    step = max(1, len(items) / most)
    return [items[int(place * step)] for place in range(min(most, len(items)))]


SPEC = Command(
    "measure the settings that a model file lacks and write its spec",
    add_arguments,
    run,
    details="A model file does not record how images were scaled, resized or turned for training. This command tries"
    " the usual ways on your images, and writes the best one to MODEL.json, which convert and verify read.",
    examples=(
        "spec model.keras --labelled images",
        "spec model.keras --images images-without-labels --unlabelled",
    ),
)
