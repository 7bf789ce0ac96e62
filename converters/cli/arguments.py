"""The arguments that `convert`, `verify` and `spec` share, and the objects that they describe."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from edge_crnn.cli.command import between
from edge_crnn.cli.reader import add_preprocess_argument
from edge_crnn.model.artifact import load_spec
from edge_crnn.preprocess.function import load_function, use
from edge_crnn.training.architectures import ARCHITECTURES

from ..conventions.declared import Draft, add_declarations, declared_by, put
from ..source import Source, open_source, with_teacher
from ..trained.keras.weights import GATES
from ..verify.gate import Gate


def add_structure_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that complete what the file of the trained model says."""
    group = parser.add_argument_group("model")
    group.add_argument("--spec", type=Path, metavar="FILE", help="the model's spec (default: MODEL.json beside it)")
    group.add_argument(
        "--architecture",
        metavar="NAME|FILE.json",
        help=f"for an .h5 with weights alone: the network, {' or '.join(ARCHITECTURES)}, or a file with the output of"
        " model.to_json()",
    )
    group.add_argument(
        "--recurrent-activation",
        choices=GATES,
        help="for an .h5 with weights alone: the activation of the gates, which defaulted to hard_sigmoid before Keras"
        " 2.3 and to sigmoid since",
    )
    group.add_argument(
        "--layers",
        type=Path,
        metavar="FILE.py",
        help="your own Python file that converts layers of your own classes (see docs/declare.md)",
    )
    add_preprocess_argument(group)
    add_declarations(parser)


def declarations_of(arguments: argparse.Namespace) -> Draft:
    """Return the part of a spec that the options declare, and register the function for preprocessing.

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
    """Add the arguments about the gate and about the files that show its verdict."""
    gate = Gate()
    group = parser.add_argument_group("gate")
    group.add_argument(
        "--gate-agreement", type=between(0, 100), default=100 * gate.agreement, metavar="PERCENT",
        help="minimum share of the trained model's correct readings that must stay the same (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--gate-accuracy", type=between(0, 100), default=gate.accuracy, metavar="POINTS",
        help="maximum change of the accuracy, up or down, in percentage points (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--teacher", type=Path, metavar="FILE",
        help="for a slimmed model: the model that it was slimmed from, whose texts count (default: the file beside it"
        " that its spec names)",
    )  # fmt: skip
    group.add_argument("--strict", action="store_true", help="also fail if there are too few images to tell, or none")
    group = parser.add_argument_group("results")
    group.add_argument("--page", type=Path, metavar="FILE", help="write an HTML page with the images that changed")
    group.add_argument("--results", type=Path, metavar="FILE", help="write the results as JSON, for edge-crnn report")
    group.add_argument(
        "--images-are", default="", metavar="WORDS", help="what the page calls the images, such as 'rendered plates'"
    )


def gate_of(arguments: argparse.Namespace) -> Gate:
    """Return the gate that the options describe."""
    return Gate(arguments.gate_agreement / 100, arguments.gate_accuracy)


def source_of(path: Path, arguments: argparse.Namespace) -> Source:
    """Open the trained model, and print remarks on its conversion."""
    source = open_source(
        path,
        None if arguments.spec is None else load_spec(arguments.spec),
        declared=declarations_of(arguments),
        architecture=arguments.architecture,
        recurrent_activation=arguments.recurrent_activation,
        layers=arguments.layers,
    )
    for remark in source.remarks:
        print(remark)
    return source


def teacher_of(source: Source, arguments: argparse.Namespace) -> Source:
    """Open the teacher of a slimmed model; raises as `with_teacher`."""
    return with_teacher(
        source,
        arguments.teacher,
        architecture=arguments.architecture,
        recurrent_activation=arguments.recurrent_activation,
        layers=arguments.layers,
    )
