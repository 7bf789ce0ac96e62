"""How much a Keras plate model reads of the synthetic presets: what pins `mild` and `heavy`.

python -m benchmarks.presets [--model models/plates.keras] [--presets mild heavy] [-n 5000] [--seed 7]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_crnn.training.synthetic import KINDS, PRESETS, Plate, Renderer, find_fonts, generate

ALPHABET = "adefghjknqrstwABCDEFGHIJKLMNOPZ0123456789"
SKIP_STEPS = 2
BATCH = 50


def batch_of(plates: list[Plate]) -> npt.NDArray[np.float32]:
    """What plates.keras takes: (N, 128, 64, 1) float32, width-major, in [-1, 1]."""
    import cv2

    grey = [cv2.cvtColor(plate.image, cv2.COLOR_BGR2GRAY) for plate in plates]
    small = np.stack([cv2.resize(image, (128, 64), interpolation=cv2.INTER_LINEAR_EXACT) for image in grey])
    return (small.transpose(0, 2, 1)[..., None] / 127.5 - 1).astype(np.float32)


def greedy(probabilities: npt.NDArray[np.float32]) -> list[str]:
    """Best-path decoding (Graves 2006, section 3.2) of (N, T, C): collapse repeats, then drop blanks."""
    best = probabilities[:, SKIP_STEPS:].argmax(axis=-1)
    blank = len(ALPHABET)
    texts = []
    for row in best:
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        texts.append("".join(ALPHABET[k] for k in row[starts] if k != blank))
    return texts


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    z = 1.96
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return middle - half, middle + half


def main() -> int:
    """Print a line for each preset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/plates.keras"))
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    glyphs = parser.add_mutually_exclusive_group()
    glyphs.add_argument("--fonts", type=Path)
    glyphs.add_argument("--glyphs", type=Path)
    args = parser.parse_args()

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model: Any = tf.keras.models.load_model(args.model, compile=False)
    read = tf.function(lambda batch: model(batch, training=False), jit_compile=False)
    renderer = Renderer(glyphs=args.glyphs) if args.glyphs else Renderer(find_fonts(args.fonts))
    for preset in args.presets:
        drawn: Counter[str] = Counter()
        right: Counter[str] = Counter()
        plates = generate(args.n, args.seed, preset, renderer=renderer)
        while batch := list(islice(plates, BATCH)):
            for plate, text in zip(batch, greedy(read(batch_of(batch)).numpy()), strict=True):
                drawn[plate.kind] += 1
                right[plate.kind] += text == plate.label
                if text != plate.label:
                    sys.stderr.write(f"{preset} {plate.kind} {plate.label} {text}\n")
        low, high = wilson(right.total(), drawn.total())
        kinds = "  ".join(f"{kind} {right[kind] / drawn[kind]:.1%}" for kind in KINDS)
        print(
            f"{preset}: {right.total()} of {drawn.total()} = {right.total() / drawn.total():.2%} "
            f"[{low:.2%}, {high:.2%}]  {kinds}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
