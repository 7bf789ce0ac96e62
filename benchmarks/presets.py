"""Measure how many rendered images a trained model reads, by kind: the figures in the model cards.

python -m benchmarks.presets [--model models/plates.keras] [--what plates] [--presets none mild heavy] [-n 5000]
    [--seed 7] [--fonts DIR [--font-split test] | --glyphs DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

from converters.reference.keras import KerasReference
from converters.verify.statistics import binomial_interval
from edge_crnn.ctc import greedy
from edge_crnn.dataset import chunked
from edge_crnn.model.artifact import load_sidecar
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress
from edge_crnn.training.degrade import HEAVY, MILD, NONE, PRESETS
from edge_crnn.training.folder import WHATS, Drawing
from edge_crnn.training.fonts import FontSplit, pick_fonts

BATCH = 50


def main() -> int:
    """Print the share of images of each preset that are read right, with its 95 % interval, in all and by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument(
        "--what",
        choices=WHATS,
        default="plates",
        help="what to render; lines are counted by length, plates by kind (default: %(default)s)",
    )
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=[NONE.name, MILD.name, HEAVY.name])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fonts", type=Path)
    source.add_argument("--glyphs", type=Path)
    parser.add_argument("--font-split", choices=get_args(FontSplit), default="all")
    args = parser.parse_args()

    lines = args.what == "lines"
    fonts = () if args.glyphs else pick_fonts(args.fonts, lines, args.font_split)
    spec = load_sidecar(args.model)
    alphabet = spec.alphabet
    reference = KerasReference(args.model, batch=BATCH)
    for preset in args.presets:
        drawing = Drawing(args.what, args.seed, preset, fonts, args.glyphs, alphabet="".join(spec.symbols))
        right: Counter[str] = Counter()
        drawn: Counter[str] = Counter()
        for batch in chunked(progress(drawing.pictures(args.n), args.n, preset), BATCH):
            rows = reference.infer(preprocess([picture.image for picture in batch], spec.input))
            for picture, path in zip(batch, greedy(rows, spec.blank, spec.skip_steps), strict=True):
                kind = f"length {len(picture.label):2}" if lines else picture.kind
                drawn[kind] += 1
                right[kind] += alphabet.spell(path.indices) == picture.label
        print(f"{preset}: {_share(right.total(), args.n)}")
        for kind in sorted(drawn):
            print(f"  {kind}: {_share(right[kind], drawn[kind])}", flush=True)
    return 0


def _share(right: int, drawn: int) -> str:
    low, high = binomial_interval(right, drawn)
    return f"{right:,} of {drawn:,}, {right / drawn:.2%} ({low:.2%} to {high:.2%})"


if __name__ == "__main__":
    sys.exit(main())
