"""The options that say how texts are searched, for every command that reads."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ..model.spec import DecoderSpec
from ..reader import MOST
from .command import at_least
from .knowledge import add_grammar_argument, grammar_of


def add_decoder_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `decoder_of`."""
    parser.add_argument("--decoder", choices=("greedy", "beam"), help="instead of the model's own")
    add_grammar_argument(parser, "read only labels that match it, with a beam unless --decoder says otherwise")
    parser.add_argument("--beam-width", type=at_least(1, MOST), metavar="N", help="prefixes that the beam keeps")


def decoder_of(arguments: argparse.Namespace, own: DecoderSpec) -> DecoderSpec:
    """The model's own decoder, changed as the options say."""
    wishes = {
        "method": arguments.decoder or (None if arguments.grammar is None else "beam"),
        "grammar": grammar_of(arguments.grammar),
        "beam_width": arguments.beam_width,
    }
    return replace(own, **{name: wish for name, wish in wishes.items() if wish is not None})
