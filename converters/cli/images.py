"""The images that `convert` and `verify` use, and the trained model's readings of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_crnn.cli.labels import add_label_arguments, label_rules_of
from edge_crnn.dataset import DEFAULT_RULES, Dataset
from edge_crnn.errors import InputError
from edge_crnn.model.spec import ModelSpec

from ..pipeline import load_sets, reference_readings
from ..source import Source
from ..verify.gate import Readings
from ..verify.sets import seems_labelled, suspicions


def add_image_arguments(parser: argparse.ArgumentParser, calibration: str) -> None:
    """Add the arguments of `sets_of` and `readings_of`, and `--calibration`, whose help is `calibration`."""
    group = parser.add_argument_group("images")
    group.add_argument(
        "--labelled", type=Path, metavar="DIR", action="append", default=[],
        help="images with labels, which show agreement with the trained model and accuracy; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--images", type=Path, metavar="DIR", action="append", default=[],
        help="images without labels, which show agreement only; may be repeated",
    )  # fmt: skip
    group.add_argument("--calibration", type=Path, metavar="DIR", help=calibration)
    group.add_argument(
        "--no-cache", action="store_true",
        help="run the trained model again, even if its readings are in the cache, and store none",
    )  # fmt: skip
    add_label_arguments(parser)


def sets_of(arguments: argparse.Namespace, spec: ModelSpec) -> list[Dataset]:
    """Load the images that the options name; raises as `load_sets`.

    Raises:
        InputError: there are options for labels, but no labelled images.
    """
    rules = label_rules_of(arguments)
    if not arguments.labelled and rules != replace(DEFAULT_RULES, recursive=rules.recursive):
        raise InputError("options about labels need --labelled DIR; --images DIR takes images without labels")
    datasets = load_sets(arguments.labelled, spec, rules, arguments.images)
    for dataset in datasets:
        if not dataset.labelled and seems_labelled(dataset, spec):
            print(f"{dataset.folder}: its images seem to have labels; --labelled {dataset.folder} shows accuracy, too")
    return datasets


def readings_of(arguments: argparse.Namespace, source: Source, datasets: Sequence[Dataset]) -> tuple[Readings, ...]:
    """Read the images with the trained model and print warnings. Raises as `reference_readings`."""
    readings = reference_readings(source, datasets, cached=not arguments.no_cache)
    for line in suspicions(datasets, readings):
        print(line)
    return readings
