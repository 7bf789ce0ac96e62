"""The command `edge-crnn report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_crnn.cli.command import Command
from edge_crnn.errors import InputError, OutputError
from edge_crnn.files import require_place, write_atomically

from ..report.compose import compose
from ..report.markdown import markdown
from ..report.page import page
from ..report.records import load_record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `report`."""
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="JSON of `edge-crnn bench -o`, of `verify --results` or of a benchmark; what is of several machines is"
        " shown apart",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page, in HTML that loads nothing")
    parser.add_argument(
        "--note", action="append", default=[], metavar="WORDS", help="what a reader should know; may be repeated"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the same without pictures, for a pull request")


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for.

    Raises:
        InputError: a file is none of results, twice there, or nothing is to be written.
        OutputError: a place cannot be written, or is a file that is read.
    """
    results: list[Path] = arguments.results
    places: list[Path] = [each for each in (arguments.output, arguments.markdown) if each is not None]
    if not places:
        raise InputError("nothing to write; add -o FILE for the page, or --markdown FILE")
    taken = [path.resolve() for path in results]
    if len(set(taken)) < len(taken):
        raise InputError("a file of results is named twice; once is enough")
    for place in places:
        require_place(place)
        if place.resolve() in taken:
            raise OutputError(f"{place}: names two files of this run; name another for what is written")
        taken.append(place.resolve())
    report = compose([load_record(path) for path in results], arguments.note)
    if arguments.output is not None:
        write_atomically(arguments.output, page(report).encode())
        print(f"{arguments.output}: {report.headline}")
    if arguments.markdown is not None:
        write_atomically(arguments.markdown, markdown(report).encode())
        print(f"{arguments.markdown}: {report.headline}")
    return 0


REPORT = Command("put results together on one page: verdict, accuracy, times, pictures", add_arguments, run)
