"""Count the readings of crops that are far larger than the network's image, resized by three rules.

    python -m benchmarks.enlarged [MODEL] [--images samples/plates] [-n 100]

Each labelled image is enlarged bicubically, gets the noise of a sensor in every pixel, and is compressed with JPEG, as
a camera with more pixels would show the same plate. It prints how many readings are accepted and correct, of `n`:

- sampled: bilinear resizing alone, which skips pixels beyond a ratio of 2;
- reduced: averaged over blocks first, as `"reduce": "area"` in a spec says;
- area: resized by the area that each pixel of the target covers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_crnn import open_reader
from edge_crnn.dataset import load_labelled
from edge_crnn.images import Pixels
from edge_crnn.model.spec import InputSpec
from edge_crnn.preprocess import to_grey
from edge_crnn.preprocess.reducing import reduce_area
from edge_crnn.preprocess.resampling import resize
from edge_crnn.progress import progress
from edge_crnn.reader import DEFAULT_MODEL

SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
NOISES = (0.0, 10.0, 40.0)
"""Standard deviations of the noise, in levels of 255."""
JPEG_QUALITY = 80


def _sampled(grey: Pixels, width: int, height: int) -> Pixels:
    return resize(grey, width, height, "linear")


def _reduced(grey: Pixels, width: int, height: int) -> Pixels:
    return resize(reduce_area(grey, width, height), width, height, "linear")


def _area(grey: Pixels, width: int, height: int) -> Pixels:
    return resize(grey, width, height, "area")


RULES: Mapping[str, Callable[[Pixels, int, int], Pixels]] = {"sampled": _sampled, "reduced": _reduced, "area": _area}
"""Name → function that resizes a grey image to a width and a height."""


def enlarged(image: Pixels, scale: float, noise: float, rng: np.random.Generator) -> Pixels:
    """Render an image again with `scale` times as many pixels along each axis.

    Args:
        image: (H, W, 3) BGR, uint8.
        scale: ratio of the sides.
        noise: standard deviation of the noise in each colour, in levels of 255.
        rng: the source of the noise.

    Returns:
        (scale * H, scale * W, 3) BGR, uint8.
    """
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(large + rng.normal(0, noise, large.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded the line before
    return decoded.astype(np.uint8, copy=False)


def resized(images: Sequence[Pixels], rule: str, spec: InputSpec) -> list[Pixels]:
    """Return the grey images at the size of the network, which then changes no pixel."""
    return [RULES[rule](to_grey(image), spec.width, spec.height) for image in images]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: noise and scale against the rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=DEFAULT_MODEL, help="an artifact that stretches images")
    parser.add_argument("--images", type=Path, default=Path("samples/plates"), help="labelled images")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--scales", type=float, nargs="+", default=SCALES)
    parser.add_argument("--noises", type=float, nargs="+", default=NOISES)
    args = parser.parse_args(arguments)

    print("| noise | times as large | " + " | ".join(RULES) + " |")
    print("|" + "---|" * (2 + len(RULES)))
    with open_reader(args.model) as reader:
        dataset = load_labelled(args.images, reader.spec.alphabet)
        entries = list(dataset)[:: max(1, len(dataset) // args.n)][: args.n]
        pictures = [entry.load() for entry in entries]
        rows = [(noise, scale) for noise in args.noises for scale in args.scales]
        for noise, scale in progress(rows, len(rows), "rows"):
            rng = np.random.default_rng(0)
            large = [enlarged(picture, scale, noise, rng) for picture in pictures]
            counts = []
            for rule in RULES:
                readings = reader.read_batch(resized(large, rule, reader.spec.input))
                right = [reading.label == entry.label for reading, entry in zip(readings, entries, strict=True)]
                accepted = [reading.accepted for reading in readings]
                counts.append(f"{sum(map(min, accepted, right))} accepted and correct, {sum(right)} correct")
            print(f"| {noise:g} | {scale:g} | {' | '.join(counts)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
