"""The options for knowledge about texts: a grammar, a list of known texts, and a prior, read from files."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..alphabet import Alphabet
from ..ctc import GRAMMARS, Lexicon, Prior, parse_labels
from ..errors import InputError
from .command import share


def add_grammar_argument(parser: argparse._ActionsContainer, purpose: str) -> None:
    """Add the option `--grammar`, for `grammar_of`; `purpose` begins its help."""
    parser.add_argument(
        "--grammar",
        metavar="REGEX|FILE",
        help=f"{purpose}: a regular expression for labels, a file with one, or one of {', '.join(GRAMMARS)}",
    )


def add_knowledge_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the arguments of `lexicon_of` and `prior_of`."""
    parser.add_argument(
        "--lexicon",
        type=Path,
        metavar="FILE",
        help="read only the texts in this file, one per line, as people write them or as labels",
    )
    parser.add_argument(
        "--lexicon-weight",
        type=_positive,
        metavar="W",
        help="also read other texts, and count a text of --lexicon as W times as probable",
    )
    parser.add_argument(
        "--rescue",
        type=share,
        metavar="COST",
        help="also read a text of --lexicon that differs by one symbol from what the network sees, as COST (0 to 1)"
        " times as probable",
    )
    parser.add_argument(
        "--prior",
        type=Path,
        metavar="FILE",
        help="prefer symbols that often follow one another in the texts of this file, one per line; or a fitted .json",
    )
    parser.add_argument(
        "--prior-weight", type=_not_negative, metavar="W", help="how much the prior counts (default: 1; 0: not at all)"
    )


def grammar_of(wish: str | None) -> str | None:
    """Return the regular expression or name of `--grammar`. A file is read, unless its name is that of a grammar.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    if wish is None or wish in GRAMMARS or not _is_file(Path(wish)):
        return wish
    text = _text(Path(wish)).strip()
    if not text:
        raise InputError(f"{wish}: is empty, expected a regular expression: write it, or leave out --grammar")
    return text


def lexicon_of(arguments: argparse.Namespace, alphabet: Alphabet) -> Lexicon | None:
    """Make the lexicon of `--lexicon`, `--lexicon-weight` and `--rescue`.

    Raises:
        InputError: the file cannot be read or is not a list of texts, or an option lacks its file.
    """
    path: Path | None = arguments.lexicon
    if path is None:
        if arguments.lexicon_weight is not None or arguments.rescue is not None:
            raise InputError("--lexicon-weight and --rescue need a lexicon; add --lexicon FILE")
        return None
    weight = math.inf if arguments.lexicon_weight is None else arguments.lexicon_weight
    return Lexicon.parse(_text(path).splitlines(), alphabet, str(path), weight=weight, rescue=arguments.rescue or 0.0)


def prior_of(arguments: argparse.Namespace, alphabet: Alphabet) -> Prior | None:
    """Make the prior of `--prior` and `--prior-weight`.

    Raises:
        InputError: the file cannot be read, or is neither a prior nor a list of texts, or the weight lacks its file.
    """
    path: Path | None = arguments.prior
    if path is None:
        if arguments.prior_weight is not None:
            raise InputError("--prior-weight needs a prior; add --prior FILE")
        return None
    weight = 1.0 if arguments.prior_weight is None else arguments.prior_weight
    if path.suffix == ".json":
        return Prior.from_json(_text(path), alphabet, str(path), weight=weight)
    labels = parse_labels(_text(path).splitlines(), alphabet, str(path))
    if not labels:
        raise InputError(f"{path} has no text to fit a prior to: add some, or leave out --prior")
    return Prior.fit(labels, alphabet, weight=weight)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a text file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a regular expression that cannot be a file name
        return False


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or a number above 0")
    return value
