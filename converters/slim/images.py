"""The images to slim with: some of those in folders, or drawn ones. None of them needs a label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from edge_crnn.dataset import Dataset, Entry, find_images, refuse_repeats
from edge_crnn.errors import AlphabetError, InputError
from edge_crnn.model.spec import ModelSpec
from edge_crnn.progress import progress

from ..verify.pictures import Picture, Pictures

What: TypeAlias = Literal["plates", "plates-2019", "lines"]
WHATS: tuple[What, ...] = get_args(What)
"""The pictures that can be drawn, by their names in `edge-crnn synth`."""
PRESETS = ("mild", "heavy")
"""The presets of drawn images, which take turns."""
_SEED = 3 << 30
"""Added to the seed of drawn images, so that they differ from those that `synth` draws to verify with."""
_APART = 1 << 32
"""Distance between the seeds of two presets, so that their images differ."""
_LONGEST = 10
"""Most characters of a drawn line."""


def sampled(folders: Sequence[Path], count: int, recursive: bool = False) -> Dataset:
    """Choose at most `count` images in folders, evenly spread.

    Raises:
        DatasetError: a folder has no images, or two of those that are chosen have the same content.
    """
    paths = [path for folder in folders for path in find_images(folder, recursive)]
    step = max(1.0, len(paths) / count)
    chosen = [paths[int(place * step)] for place in range(min(count, len(paths)))]
    refuse_repeats(chosen)
    return Dataset(folders[0], tuple(Entry(path, "") for path in chosen), labelled=False)


def drawn(what: What, spec: ModelSpec, count: int, seed: int = 0, fonts: Path | None = None) -> Dataset:
    """Draw images, every other one in each of `PRESETS`.

    Args:
        what: the pictures to draw.
        spec: the spec of the network; lines are drawn in its alphabet.
        count: number of images.
        seed: number of the random series.
        fonts: folder of fonts; None: those of `synth`.

    Raises:
        InputError: the network cannot spell what is drawn.
        DatasetError: the fonts are unusable.
        BackendUnavailable: Pillow or OpenCV is not installed.
    """
    from edge_crnn.training.folder import Drawing
    from edge_crnn.training.fonts import pick_fonts

    letters = "".join(symbol for symbol in spec.symbols if len(symbol) == 1 and not symbol.isspace())
    if what == "lines" and not letters:
        raise InputError("no symbol of the alphabet is a single character, so no lines can be drawn; use --images DIR")
    longest = min(_LONGEST, max(1, (spec.output.steps - spec.skip_steps) // 2))
    drawings = [
        Drawing(
            what=what,
            seed=_SEED + seed + number * _APART,
            preset=preset,
            fonts=pick_fonts(fonts, what == "lines"),
            alphabet=letters,
            length=(1, longest),
        )
        for number, preset in enumerate(PRESETS)
    ]
    entries: list[Picture] = []
    for index in progress(range(count), count, "drawing"):
        place, number = divmod(index, len(drawings))
        picture = next(drawings[number].pictures(1, place))
        _require_spelling(spec, what, picture.label)
        entries.append(Picture(Path(f"drawn {what} {index}"), "", picture.image))
    return Pictures(Path(f"drawn {what}"), tuple(entries), labelled=False)


def _require_spelling(spec: ModelSpec, what: str, label: str) -> None:
    try:
        spec.alphabet.encode(label)
    except AlphabetError as error:
        raise InputError(
            f"--draw {what} draws {label!r}, which {spec.name!r} cannot write ({error}); use --images DIR"
        ) from error
