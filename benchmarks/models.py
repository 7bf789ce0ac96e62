"""The project's own models, and the images that they are measured on: samples in the repository, and fresh ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_crnn.cli.main import main as edge_crnn
from edge_crnn.dataset import find_images
from edge_crnn.errors import DatasetError
from edge_crnn.training.kinds import GROUPS

PRESETS: Mapping[str, int] = {"mild": 101, "heavy": 102}
"""The seeds of fresh images, by preset; no model was trained on them."""

SMALL, FULL = 200, 5000
"""The numbers of fresh images of each preset: minutes on a laptop, and enough to pass the gate."""


@dataclass(frozen=True)
class Model:
    """A trained model and its images."""

    name: str
    path: Path
    samples: Path
    """A labelled folder."""
    calibration: Path
    images_are: str
    kinds: Mapping[str, Sequence[str]]
    """The arguments of `edge-crnn synth` that render an image of a kind, by kind."""

    def fresh(self, folder: Path) -> list[Path]:
        """Return the folder of fresh images of each preset; it has a folder for each kind."""
        return [folder / self.name / preset for preset in PRESETS]

    def synth(self, folder: Path, n: int) -> Iterator[list[str]]:
        """Yield the arguments of the `edge-crnn synth` calls that render at least `n` fresh images of each preset."""
        count = -(-n // len(self.kinds))
        for place, (preset, seed) in zip(self.fresh(folder), PRESETS.items(), strict=True):
            for number, (kind, words) in enumerate(self.kinds.items()):
                run = "--preset", preset, "--seed", str(seed), "--start", str(number * count), "-n", str(count)
                yield ["synth", "-o", str(place / kind), *words, *run]

    def draw(self, folder: Path, n: int) -> list[Path]:
        """Render `n` fresh images of each preset, or a few more, and return their folders.

        Raises:
            DatasetError: they could not be rendered; stderr has the reason.
        """
        for words in self.synth(folder, n):
            if edge_crnn(words):
                raise DatasetError(f"edge-crnn {' '.join(words)} has failed; see above")
        return self.fresh(folder)


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "plates",
            Path("models/plates.keras"),
            Path("samples/plates"),
            Path("samples/calibration"),
            "rendered plates",
            {kind: ("--kind", kind) for kind in GROUPS["all-forms"]},
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
    """Return the labelled folders of a set: the folder itself or, where it has no image, the folders in it.

    Raises:
        DatasetError: the folder has neither an image nor a folder.
    """
    inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    try:
        find_images(folder)
    except DatasetError:
        if not inside:
            raise
        return inside
    return [folder]


def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.models NAME`: render the fresh images of a model."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("-n", type=int, default=FULL, help="images of each preset (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args(words)
    MODELS[args.model].draw(args.output, args.n)
    return 0


if __name__ == "__main__":
    sys.exit(main())
