"""Measure how many rendered images a trained model reads, by kind: the figures in the model cards.

python -m benchmarks.presets [--model models/plates.keras] [--what plates] [--kind KIND …] [--presets none mild heavy]
    [-n 5000] [--seed 7] [--fonts DIR [--font-split test]] [--glyphs DIR] [--negatives]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from converters.reference.keras import KerasReference
from converters.report.words import estimate
from edge_crnn.ctc import greedy
from edge_crnn.dataset import chunked
from edge_crnn.errors import EdgeCrnnError, InputError
from edge_crnn.model.artifact import load_sidecar
from edge_crnn.model.spec import ModelSpec
from edge_crnn.preprocess import preprocess
from edge_crnn.progress import progress
from edge_crnn.training.degrade import HEAVY, MILD, NONE, PRESETS
from edge_crnn.training.folder import WHATS, Drawing
from edge_crnn.training.fonts import FontSplit, pick_fonts
from edge_crnn.training.kinds import READABLE_CHOICES

BATCH = 50

Images = npt.NDArray[np.float32]


class Tally:
    """Counts images by kind, and those of them that pass a test."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.drawn: Counter[str] = Counter()

    def add(self, kind: str, passed: bool) -> None:
        """Count an image."""
        self.drawn[kind] += 1
        self.passed[kind] += passed

    def lines(self, title: str) -> list[str]:
        """Return the share that has passed with its 95 % interval, in all and by kind."""
        shares = [(title, self.passed.total(), self.drawn.total())]
        shares += [(f"  {kind}", self.passed[kind], self.drawn[kind]) for kind in sorted(self.drawn)]
        return [f"{name}: {estimate(passed, drawn)}" for name, passed, drawn in shares]


def measure(drawing: Drawing, n: int, spec: ModelSpec, infer: Callable[[Images], Images]) -> Tally:
    """Count the images of a run that are read as their label or, of negatives, as anything but nothing.

    Lines are counted by length, plates by kind.

    Raises:
        DatasetError: the fonts or the glyph folder cannot be used.
    """
    tally = Tally()
    for batch in chunked(progress(drawing.render(n), n, drawing.preset), BATCH):
        rows = infer(preprocess([rendered.image for rendered in batch], spec.input))
        for rendered, path in zip(batch, greedy(rows, spec.blank, spec.skip_steps), strict=True):
            kind = f"length {len(rendered.label):2}" if drawing.what == "lines" else rendered.kind
            read = spec.alphabet.spell(path.indices)
            tally.add(kind, bool(read) if drawing.is_negative else read == rendered.label)
    return tally


def main(words: Sequence[str] | None = None) -> int:
    """Print the share of images of each preset that are read correctly, with its 95 % interval, in all and by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument(
        "--what",
        choices=WHATS,
        default="plates",
        help="what to render; lines are counted by length, plates by kind (default: %(default)s)",
    )
    parser.add_argument(
        "--kind",
        choices=READABLE_CHOICES,
        action="append",
        metavar="KIND",
        help="kind or group of plates; may be repeated (default: all-forms)",
    )
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=[NONE.name, MILD.name, HEAVY.name])
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--glyphs", type=Path, help="folder of glyph images; --fonts renders those that it lacks")
    parser.add_argument("--font-split", choices=get_args(FontSplit), default="all")
    parser.add_argument(
        "--negatives",
        action="store_true",
        help="also render as many negatives of each preset, and print how many are read as something",
    )
    args = parser.parse_args(words)

    lines = args.what == "lines"
    try:
        if args.what != "plates" and (args.kind or args.negatives):
            raise InputError(f"--kind and --negatives do not apply to --what {args.what}; leave them out")
        fonts = pick_fonts(args.fonts, lines, args.font_split) if args.fonts or not args.glyphs else ()
        spec = load_sidecar(args.model)
        reference = KerasReference(args.model, batch=BATCH)
        drawing = Drawing(
            args.what,
            args.seed,
            args.presets[0],
            fonts,
            args.glyphs,
            chosen=tuple(args.kind or ()),
            alphabet="".join(spec.symbols),
        )
        for preset in args.presets:
            tally = measure(replace(drawing, preset=preset), args.n, spec, reference.infer)
            print(*tally.lines(preset), sep="\n", flush=True)
            if args.negatives:
                negatives = replace(drawing, preset=preset, chosen=("negatives",))
                tally = measure(negatives, args.n, spec, reference.infer)
                print(*tally.lines(f"{preset}, negatives read as something"), sep="\n", flush=True)
    except EdgeCrnnError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
