"""The project's own models, and the images that they are measured on: samples of the tree, and fresh ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_crnn.cli.main import main as edge_crnn
from edge_crnn.dataset import find_images
from edge_crnn.errors import DatasetError
from edge_crnn.training.layouts import KINDS

PRESETS: Mapping[str, int] = {"mild": 101, "heavy": 102}
"""Preset of fresh images → the seed that they are drawn from; nothing was trained on it."""

SMALL, FULL = 200, 5000
"""Fresh images of each preset: minutes on a laptop, and enough to show what the gate asks for."""


@dataclass(frozen=True)
class Model:
    """A trained model and its images."""

    name: str
    path: Path
    samples: Path
    """Labelled."""
    calibration: Path
    images_are: str
    kinds: Mapping[str, Sequence[str]]
    """Kind of image → the words that have `edge-crnn synth` draw it."""

    def fresh(self, folder: Path) -> list[Path]:
        """Where fresh images of each preset go, each kind in a folder of its own."""
        return [folder / self.name / preset for preset in PRESETS]

    def synth(self, folder: Path, n: int) -> Iterator[list[str]]:
        """The words of each `edge-crnn synth` that has its part in `n` fresh images of each preset, or a few more."""
        each = -(-n // len(self.kinds))
        for place, (preset, seed) in zip(self.fresh(folder), PRESETS.items(), strict=True):
            for number, (kind, words) in enumerate(self.kinds.items()):
                run = "--preset", preset, "--seed", str(seed), "--start", str(number * each), "-n", str(each)
                yield ["synth", "-o", str(place / kind), *words, *run]

    def draw(self, folder: Path, n: int) -> list[Path]:
        """Draw `n` fresh images of each preset, or a few more, and say where they are.

        Raises:
            DatasetError: they could not be drawn; why is on stderr.
        """
        for words in self.synth(folder, n):
            if edge_crnn(words):
                raise DatasetError(f"edge-crnn {' '.join(words)} has failed; see above")
        return self.fresh(folder)


MODELS: Mapping[str, Model] = {
    each.name: each
    for each in (
        Model(
            "plates",
            Path("models/plates.keras"),
            Path("samples/plates"),
            Path("samples/calibration"),
            "rendered plates",
            {kind: ("--kind", kind) for kind in KINDS},
        ),
        Model(
            "digits",
            Path("models/digits.keras"),
            Path("samples/lines"),
            Path("samples/lines-calibration"),
            "rendered lines",
            {f"{length}-digits": ("--what", "lines", "--length", length) for length in ("1-3", "4-6", "7-10")},
        ),
    )
}


def kinds_of(folder: Path) -> list[Path]:
    """The labelled folders of one set: the folder itself, or those in it, one of each kind, where it has no image.

    Raises:
        DatasetError: there is no image in it, and no folder.
    """
    inside = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    try:
        find_images(folder)
    except DatasetError:
        if not inside:
            raise
        return inside
    return [folder]


def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.models NAME`: draw the fresh images of a model."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("-n", type=int, default=FULL, help="images of each preset (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args(words)
    MODELS[args.model].draw(args.output, args.n)
    return 0


if __name__ == "__main__":
    sys.exit(main())
