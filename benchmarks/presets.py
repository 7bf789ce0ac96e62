"""How much a Keras plate model reads of the synthetic presets: the figures that pin `mild` and `heavy`.

python -m benchmarks.presets [--presets mild heavy] [-n 5000] [--seed 7] [--fonts DIR | --glyphs DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from converters.keras_reference import KerasReference
from converters.statistics import binomial_interval
from edge_crnn.artifact import load_sidecar
from edge_crnn.ctc import greedy
from edge_crnn.dataset import chunked
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress
from edge_crnn.training.degrade import PRESETS
from edge_crnn.training.glyphs import find_fonts
from edge_crnn.training.layouts import KINDS
from edge_crnn.training.synthetic import Renderer, generate

BATCH = 50


def main() -> int:
    """Print, for each preset, the share of plates read right, its 95 % interval, and the share by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--fonts", type=Path)
    source.add_argument("--glyphs", type=Path)
    args = parser.parse_args()

    renderer = Renderer(glyphs=args.glyphs) if args.glyphs else Renderer(find_fonts(args.fonts))
    spec = load_sidecar(args.model)
    alphabet = spec.alphabet
    reference = KerasReference(args.model, batch=BATCH)
    for preset in args.presets:
        right: Counter[str] = Counter()
        drawn: Counter[str] = Counter()
        plates = progress(generate(args.n, args.seed, preset, renderer=renderer), args.n, preset)
        for batch in chunked(plates, BATCH):
            rows = reference.infer(preprocess([plate.image for plate in batch], spec.input))
            for plate, found in zip(batch, greedy(rows, spec.blank, spec.skip_steps), strict=True):
                drawn[plate.kind] += 1
                right[plate.kind] += alphabet.spell(found.indices) == plate.label
        low, high = binomial_interval(right.total(), args.n)
        kinds = ", ".join(f"{kind} {right[kind] / drawn[kind]:.1%}" for kind in KINDS)
        print(
            f"{preset}: {right.total()} of {args.n}, {right.total() / args.n:.2%} ({low:.2%} to {high:.2%}); {kinds}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
