"""The command `edge-crnn report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_crnn.cli.command import Command
from edge_crnn.errors import InputError
from edge_crnn.files import write_atomically
from edge_crnn.records.record import load_record

from ..report.compose import compose
from ..report.markdown import markdown
from ..report.page import page
from .places import check_places


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `report`."""
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="JSON from bench -o, from convert or verify --results, or from a benchmark; results from several machines"
        " are shown separately",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the page as one HTML file")
    parser.add_argument(
        "--note", action="append", default=[], metavar="WORDS", help="add a note below the verdict; may be repeated"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the page without images as Markdown, for a pull request"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the pages that the options name.

    Raises:
        InputError: a file has no results or is named twice, or there is nothing to write.
        OutputError: a file cannot be written, or is one of the results.
    """
    results: list[Path] = arguments.results
    if arguments.output is None and arguments.markdown is None:
        raise InputError("nothing to write; add -o FILE or --markdown FILE")
    if len({path.resolve() for path in results}) < len(results):
        raise InputError("a file of results is named twice; name it once")
    check_places(results, [arguments.output, arguments.markdown])
    report = compose([load_record(path) for path in results], arguments.note)
    if arguments.output is not None:
        write_atomically(arguments.output, page(report).encode())
        print(f"wrote {arguments.output}: {report.headline}")
    if arguments.markdown is not None:
        write_atomically(arguments.markdown, markdown(report).encode())
        print(f"wrote {arguments.markdown}: {report.headline}")
    return 0


REPORT = Command(
    "combine results into one page",
    add_arguments,
    run,
    details="The page shows the verdict, the accuracy, the times and the images that changed. It loads nothing from the"
    " network.",
    examples=("report results.json bench.json -o report.html",),
)
