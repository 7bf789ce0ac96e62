"""The options about labels, for every command that takes labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from ..errors import InputError
from ..labels.names import NamePattern
from ..labels.rules import FoldCase, LabelRules
from .folders import add_recursive_argument


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `label_rules_of`."""
    group = parser.add_argument_group(
        "labels", "by default from a table in the folder, such as labels.csv, or from file names"
    )
    source = group.add_mutually_exclusive_group()
    source.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="table of labels; the paths in it are relative to the folder of images",
    )
    source.add_argument(
        "--label-pattern",
        type=_pattern,
        metavar="PATTERN",
        help="place of the label in a file name without suffix, such as {index}_{label} or {label}_{any}, or a"
        " regular expression with a group (?P<label>…)",
    )
    add_recursive_argument(parser)
    group.add_argument("--fold-case", choices=get_args(FoldCase), help="convert labels to this case")
    group.add_argument(
        "--drop-unknown",
        action="store_true",
        help="remove characters that are not in the alphabet from labels, and report how many (default: an error)",
    )


def label_rules_of(arguments: argparse.Namespace) -> LabelRules:
    """Return the rules that the options state."""
    return LabelRules(
        arguments.label_pattern,
        arguments.fold_case,
        arguments.drop_unknown,
        arguments.labels,
        arguments.recursive,
    )


def _pattern(text: str) -> str:
    try:
        NamePattern.compile(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
