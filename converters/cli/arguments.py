"""Arguments that `convert` and `verify` share, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edge_crnn.cli.command import between
from edge_crnn.cli.reader import add_preprocess_argument
from edge_crnn.errors import OutputError
from edge_crnn.files import require_place
from edge_crnn.model.artifact import load_spec
from edge_crnn.preprocess.function import load_function, use
from edge_crnn.training.architectures import ARCHITECTURES

from ..conventions.declared import Draft, add_declarations, declared_by, put
from ..source import Source, open_source
from ..trained.keras.weights import GATES
from ..verify.gate import Gate


def add_structure_arguments(parser: argparse.ArgumentParser) -> None:
    """What tells more of the trained model than its file does."""
    parser.add_argument("--spec", type=Path, metavar="FILE", help="the model's spec (default: MODEL.json beside it)")
    parser.add_argument(
        "--architecture",
        metavar="NAME|FILE.json",
        help="for an .h5 of weights alone: the network that they are of, which is"
        f" {' or '.join(ARCHITECTURES)}, or the file with the output of model.to_json()",
    )
    parser.add_argument(
        "--recurrent-activation",
        choices=GATES,
        help="for an .h5 of weights alone: the gates' function, by its name in the Keras that wrote the file (Keras"
        " before 2.3 trained with hard_sigmoid unless told otherwise, later ones with sigmoid)",
    )
    parser.add_argument(
        "--layers",
        type=Path,
        metavar="FILE.py",
        help="your own Python file that converts layers which edge-crnn does not know (see docs/layers.md)",
    )
    add_declarations(parser)
    add_preprocess_argument(parser)


def declarations_of(arguments: argparse.Namespace) -> Draft:
    """What the options declare of the model; a function to preprocess with is loaded and put in use.

    Raises:
        InputError: the function cannot be loaded.
    """
    declared = declared_by(arguments)
    if arguments.preprocess is not None:
        function = load_function(arguments.preprocess)
        use(function)
        put(declared, "input.function", asdict(function.named))
    return declared


def add_gate_arguments(parser: argparse.ArgumentParser) -> None:
    """What an artifact must meet, and where it is told whether it does."""
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


def gate_of(arguments: argparse.Namespace) -> Gate:
    """The gate that is asked for."""
    return Gate(arguments.gate_agreement / 100, arguments.gate_accuracy)


def source_of(path: Path, arguments: argparse.Namespace) -> Source:
    """The trained model, and a word on what of it is converted."""
    source = open_source(
        path,
        None if arguments.spec is None else load_spec(arguments.spec),
        declared=declarations_of(arguments),
        architecture=arguments.architecture,
        recurrent_activation=arguments.recurrent_activation,
        layers=arguments.layers,
    )
    network = source.network
    if network.head is not None:
        print(f"{source.path}: left out: the training head {network.head!r}")
    if network.ends.softmax:
        print(f"{source.path} ends in logits: a softmax is added")
    for note in network.notes:
        print(f"{source.path}: {note}")
    return source


def check_places(read: Sequence[Path], written: Sequence[Path | None]) -> None:
    """Make sure that all can be written that is to be, over nothing else of this run.

    Raises:
        OutputError: a place cannot be written, or is named twice.
    """
    taken = {path.resolve() for path in read}
    for place in filter(None, written):
        require_place(place)
        if place.resolve() in taken:
            raise OutputError(f"{place}: names two files of this run; name another for the page or the artifact")
        taken.add(place.resolve())
