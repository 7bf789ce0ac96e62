"""The images that `convert` and `verify` verify with, and what the trained model reads in them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge_crnn.cli.labels import add_label_arguments, label_rules_of
from edge_crnn.dataset import DEFAULT_RULES, Dataset
from edge_crnn.errors import InputError
from edge_crnn.model.spec import ModelSpec

from ..pipeline import load_sets, reference_readings
from ..source import Source
from ..verify.gate import Readings
from ..verify.sets import seems_labelled, suspicions


def add_image_arguments(parser: argparse.ArgumentParser, *aliases: str) -> None:
    """Arguments of `sets_of` and `readings_of`; `aliases` are older names of `--labelled`."""
    parser.add_argument(
        "--labelled", *aliases, type=Path, metavar="DIR", action="append", default=[], dest="labelled",
        help="images with labels, which show agreement with the trained model, and accuracy; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=Path, metavar="DIR", action="append", default=[],
        help="images without labels, which show agreement alone; may be repeated",
    )  # fmt: skip
    add_label_arguments(parser)
    parser.add_argument(
        "--no-cache", action="store_true",
        help="run the trained model even if an earlier run has kept what it reads, and keep nothing",
    )  # fmt: skip


def sets_of(arguments: argparse.Namespace, spec: ModelSpec) -> list[Dataset]:
    """The images that are asked for; raises as `load_sets`.

    Raises:
        InputError: there are options for labels, but no labelled images.
    """
    if not arguments.labelled and label_rules_of(arguments) != DEFAULT_RULES:
        raise InputError("options for labels are about --labelled DIR; --images DIR takes images without labels")
    datasets = load_sets(arguments.labelled, spec, label_rules_of(arguments), arguments.images)
    for dataset in datasets:
        if not dataset.labelled and seems_labelled(dataset, spec):
            print(f"{dataset.folder}: its images seem to have labels; --labelled {dataset.folder} shows accuracy, too")
    return datasets


def readings_of(arguments: argparse.Namespace, source: Source, datasets: Sequence[Dataset]) -> tuple[Readings, ...]:
    """What the trained model reads; warns of what cannot be trusted. Raises as `reference_readings`."""
    readings = reference_readings(source, datasets, cached=not arguments.no_cache)
    for line in suspicions(datasets, readings):
        print(line)
    return readings
