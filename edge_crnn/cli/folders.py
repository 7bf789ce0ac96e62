"""The option to read folders of images with their subfolders."""

from __future__ import annotations

import argparse


def add_recursive_argument(parser: argparse._ActionsContainer) -> None:
    """Add the option `--recursive`."""
    parser.add_argument("--recursive", action="store_true", help="also read the images in subfolders")
