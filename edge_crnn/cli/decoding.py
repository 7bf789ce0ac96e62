"""The options that choose the decoder, for every command that reads."""

from __future__ import annotations

import argparse
from typing import Any

from ..bounds import BEAM_WIDTH
from ..model.spec import DecoderSpec, ModelSpec
from ..reader.decoder import decoder_for
from .command import at_least
from .knowledge import add_grammar_argument, grammar_of


def add_decoder_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the arguments of `decoder_wishes`."""
    parser.add_argument(
        "--decoder",
        choices=("greedy", "beam"),
        help="greedy: take the most probable symbol of each step; beam: compare several texts (default: as in the"
        " model's spec)",
    )
    add_grammar_argument(parser, "read only texts that match, with a beam search")
    parser.add_argument(
        "--beam-width", type=at_least(*BEAM_WIDTH), metavar="N", help="number of texts that the beam search compares"
    )


def decoder_wishes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options as keyword arguments of `open_reader` and `decoder_for`."""
    return {
        "method": arguments.decoder,
        "grammar": grammar_of(arguments.grammar),
        "beam_width": arguments.beam_width,
    }


def decoder_of(arguments: argparse.Namespace, spec: ModelSpec) -> DecoderSpec:
    """Return the model's own decoder, changed by the options."""
    return decoder_for(spec, **decoder_wishes(arguments))
