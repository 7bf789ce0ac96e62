"""Count what artifacts accept with the thresholds in their specs: correct texts, wrong texts, and negatives.

    python -m benchmarks.acceptance ARTIFACT … [--labelled DIR …] [--negatives DIR …] [--every N]

DIR has images, or a folder of images for every kind. A label is a file's name or comes from a table. The program prints
a line for every artifact and DIR, and one for a kind of negatives of which the artifact accepts an image.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.report.words import estimate
from edge_crnn import Reader, open_reader
from edge_crnn.dataset import load_labelled, load_unlabelled
from edge_crnn.errors import EdgeCrnnError

from .models import kinds_of


@dataclass(frozen=True)
class Acceptance:
    """Counts over some images."""

    images: int = 0
    correct: int = 0
    """Readings whose text is correct, accepted or not. A negative has no correct text."""
    correct_accepted: int = 0
    wrong_accepted: int = 0

    def __add__(self, other: Acceptance) -> Acceptance:
        return Acceptance(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def count(reader: Reader, folder: Path, *, negatives: bool = False, every: int = 1) -> dict[str, Acceptance]:
    """Read the images in a folder, and count what is accepted, by kind.

    Args:
        reader: the open artifact, with the threshold to judge.
        folder: images, or a folder of images for every kind.
        negatives: the images have no correct text, so every accepted reading is wrong.
        every: 1 reads all images of a kind, N every N-th.

    Raises:
        DatasetError: a folder has no images, or an image no label.
        ImageError: a file is not an image.
    """
    counts = {}
    for kind in kinds_of(folder):
        dataset = load_unlabelled(kind) if negatives else load_labelled(kind, reader.spec.alphabet)
        entries = dataset.entries[::every]
        readings = reader.read_batch([entry.path for entry in entries])
        correct = [
            not negatives and reading.label == entry.label for reading, entry in zip(readings, entries, strict=True)
        ]
        correct_accepted = sum(
            is_correct and reading.accepted for is_correct, reading in zip(correct, readings, strict=True)
        )
        accepted = sum(reading.accepted for reading in readings)
        counts[kind.name] = Acceptance(len(entries), sum(correct), correct_accepted, accepted - correct_accepted)
    return counts


def rows(artifact: Path, labelled: Sequence[Path], negatives: Sequence[Path], every: int) -> Iterator[str]:
    """Yield an artifact's lines of the table."""
    with open_reader(artifact, workers=1) as reader:
        for folder in labelled:
            total = sum(count(reader, folder, every=every).values(), Acceptance())
            accepted = total.correct_accepted + total.wrong_accepted
            yield (
                f"| {artifact.name} | {folder} | {estimate(total.correct, total.images)} |"
                f" {estimate(total.correct_accepted, total.correct)} | {estimate(total.wrong_accepted, accepted)} | |"
            )
        for folder in negatives:
            kinds = count(reader, folder, negatives=True, every=every)
            total = sum(kinds.values(), Acceptance())
            yield f"| {artifact.name} | {folder} | | | | {estimate(total.wrong_accepted, total.images)} |"
            for kind, part in kinds.items():
                if part.wrong_accepted:
                    cell = estimate(part.wrong_accepted, part.images)
                    yield f"| {artifact.name} | {folder}: {kind} | | | | {cell} |"


def main(words: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", type=Path, nargs="+", metavar="ARTIFACT")
    parser.add_argument("--labelled", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--negatives", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="read every N-th image of a kind")
    args = parser.parse_args(words)
    if args.every < 1:
        parser.error(f"found --every {args.every}, expected 1 or more")
    print("| artifact | images | correct | accepted of the correct | wrong of the accepted | accepted negatives |")
    print("|---|---|---|---|---|---|")
    try:
        for artifact in args.artifacts:
            for row in rows(artifact, args.labelled, args.negatives, args.every):
                print(row, flush=True)
    except EdgeCrnnError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
