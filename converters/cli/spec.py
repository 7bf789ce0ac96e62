"""The command `edge-crnn spec`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
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
from ..conventions.declared import Draft
from ..conventions.measure.findings import table
from ..conventions.measure.measure import measure
from ..source import Opened, open_draft
from .arguments import add_structure_arguments, declarations_of

_COUNT = 50
_SHOWN = 3
_T = TypeVar("_T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spec`."""
    parser.add_argument("model", type=Path, help="a trained CRNN: .keras or .h5")
    parser.add_argument(
        "--labelled", "--images", dest="images", type=Path, metavar="DIR", help="labelled images to measure on"
    )
    parser.add_argument(
        "--unlabelled",
        action="store_true",
        help="the images have no labels: rank conventions by the network's confidence, which is weaker evidence",
    )
    parser.add_argument(
        "--count", type=at_least(5), default=_COUNT, metavar="N", help="images to use (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the spec (default: MODEL.json)")
    parser.add_argument("--anew", action="store_true", help="measure again what an existing spec says")
    add_label_arguments(parser)
    add_structure_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, show what was measured, and write the spec."""
    target: Path = arguments.output or sidecar(arguments.model)
    opened = open_draft(
        arguments.model,
        {} if arguments.anew else None,
        declared=declarations_of(arguments),
        architecture=arguments.architecture,
        recurrent_activation=arguments.recurrent_activation,
        layers=arguments.layers,
    )
    facts = opened.facts
    facts.require_network()
    if arguments.images is None:
        draft, missing = filled(opened.draft, facts)
        if missing:
            raise ModelSpecError(
                f"{facts.path} does not say {', '.join(missing)}; add these options, or labelled images to measure on:"
                " --labelled DIR"
            )
    else:
        draft = _measured(arguments, opened)
    spec = ModelSpec.from_json(json.dumps(draft), origin=f"spec of {facts.path.name}")
    write_atomically(target, f"{essential(spec)}\n".encode())
    where = "" if target == sidecar(arguments.model) else f" --spec {target}"
    print(f"wrote {target}; next: edge-crnn convert {arguments.model}{where} --labelled DIR")
    return 0


def _measured(arguments: argparse.Namespace, opened: Opened) -> Draft:
    if arguments.unlabelled:
        if label_rules_of(arguments) != DEFAULT_RULES:
            raise InputError("options for labels make no sense with --unlabelled; leave one of them out")
        paths, texts = find_images(arguments.images), None
        paths = _some(paths, arguments.count)
    else:
        pairs = _some(load_texts(arguments.images, label_rules_of(arguments)), arguments.count)
        paths, texts = [path for path, _ in pairs], [text for _, text in pairs]
    started = time.perf_counter()
    try:
        measured = measure(opened.draft, opened.facts, [load_image(path) for path in paths], texts)
    except VerificationError as error:
        if texts is None:
            raise
        raise VerificationError(
            f"{error}. The label of {paths[0].name} is taken to be {texts[0]!r}; if it is only a part of that, say"
            " which by --label-pattern, such as '{index}_{label}'"
        ) from error
    seconds = time.perf_counter() - started
    kind = "labelled images" if texts is not None else "images without labels"
    print(f"{opened.facts.path} on {len(paths)} {kind}, {seconds:.0f} s, {measured.runs:,} inferences")
    if measured.kept:
        print(f"not measured, because options or the spec beside the model say it: {', '.join(measured.kept)}")
    what = "images that each choice reads" if texts is not None else "confidence of each choice in its own texts"
    print(f"{what}, all else being as in the best:")
    print(*table(measured.findings), *measured.notes, sep="\n")
    if any(finding.unsure for finding in measured.findings):
        print("Choices that are listed as unsure read these images alike; the first one is written.")
    draft = measured.draft
    print(
        f"alphabet       {''.join(draft['symbols'])!r}, blank {draft['blank']}, unused {draft.get('unused') or 'none'}"
    )
    for path, text in list(zip(paths, measured.read, strict=True))[:_SHOWN]:
        print(f"  {path.name}: {text!r}")
    if texts is None:
        print(
            f"reads something in {measured.right} of {measured.images}. Without labels nothing shows that these texts"
            " are right: compare them with the images"
        )
    else:
        print(f"reads {measured.right} of {measured.images} as labelled")
    return draft


def _some(items: Sequence[_T], most: int) -> list[_T]:
    """At most so many, from all over."""
    step = max(1, len(items) / most)
    return [items[int(place * step)] for place in range(min(most, len(items)))]


SPEC = Command("measure on images what a model file does not say, and write its spec", add_arguments, run)
