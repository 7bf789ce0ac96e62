"""The option for the processes that prepare images for a training."""

from __future__ import annotations

import argparse

from ..board.limits import usable_helpers
from .command import at_least


def add_workers_argument(parser: argparse._ActionsContainer) -> None:
    """Add the option `--workers`."""
    parser.add_argument(
        "--workers",
        type=at_least(0),
        default=usable_helpers(),
        metavar="N",
        help="processes that prepare images (default: one less than there are usable cores, fewer if memory is short)",
    )
