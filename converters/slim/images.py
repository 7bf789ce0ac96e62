"""The images to slim with: some of those in folders, or rendered ones. None of them needs a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_crnn.dataset import Dataset, Entry, content_hashes, find_images, refuse_repeats
from edge_crnn.errors import AlphabetError, DatasetError, InputError
from edge_crnn.model.spec import ModelSpec
from edge_crnn.progress import progress
from edge_crnn.training.batches import Folders, Source
from edge_crnn.training.checks import require_readable
from edge_crnn.training.folder import Drawing, What
from edge_crnn.training.kinds import NEGATIVE
from edge_crnn.training.varied import Varied

from ..verify.seeded import ImageInMemory, ImagesInMemory

PRESETS = ("mild", "heavy")
"""The presets of rendered images to fit and to compare, which take turns."""
LESSON_PRESETS = ("mild", "heavy", "training")
"""The presets of rendered images to train with."""
NEGATIVES = 0.1
"""Share of the images to train with that show no plate, so that the student learns where to read nothing."""
_SEED = 3 << 30
"""Added to the seed of rendered images, so that they differ from those that `synth` renders to verify with."""
_LESSON_SEED = 7 << 28
"""Added to the seed of images to train with, so that they differ from all others."""
_APART = 1 << 32
"""Distance between the seeds of two presets, so that their images differ."""
_LONGEST = 10
"""Most characters of a rendered line."""


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


@dataclass(frozen=True)
class Artist:
    """A way to render images that a network can read."""

    what: What
    """The images to render."""
    spec: ModelSpec
    """The spec of the network; lines are rendered in its alphabet."""
    fonts: Path | None = None
    """Folder of fonts; None: those of `synth`."""
    glyphs: Path | None = None
    """Folder of glyph images, which replace fonts on every other plate."""

    def draw(self, count: int, seed: int = 0) -> Dataset:
        """Render images to fit and to compare, every other one in each of `PRESETS`.

        Args:
            count: number of images.
            seed: number of the random series.

        Raises:
            InputError: the network cannot spell what is rendered.
            DatasetError: the fonts or glyphs are unusable.
            BackendUnavailable: Pillow or OpenCV is not installed.
        """
        drawings = self._drawings(PRESETS, _SEED + seed)
        entries: list[ImageInMemory] = []
        for index in progress(range(count), count, "rendering"):
            place, number = divmod(index, len(drawings))
            rendered = next(drawings[number].render(1, place))
            self._require_spelling(rendered.label)
            entries.append(ImageInMemory(Path(f"rendered {self.what} {index}"), "", rendered.image))
        return ImagesInMemory(Path(f"rendered {self.what}"), tuple(entries), labelled=False)

    def lessons(self, seed: int) -> Source:
        """Return an endless supply of images to train with, of `LESSON_PRESETS`; among plates there are negatives.

        Raises:
            InputError, DatasetError, BackendUnavailable: see `draw`.
        """
        from edge_crnn.training.drawn import Mixture, WithNegatives

        source = Mixture(tuple(self._drawings(LESSON_PRESETS, _LESSON_SEED + seed)))
        if self.what == "lines":
            return source
        negatives = self._drawings(LESSON_PRESETS, _LESSON_SEED + seed + _APART // 2, NEGATIVE)
        return WithNegatives(source, Mixture(tuple(negatives)), NEGATIVES)

    def _drawings(self, presets: Sequence[str], seed: int, kinds: tuple[str, ...] = ()) -> list[Drawing]:
        from edge_crnn.training.fonts import pick_fonts

        letters = "".join(symbol for symbol in self.spec.symbols if len(symbol) == 1 and not symbol.isspace())
        if self.what == "lines" and not letters:
            raise InputError(
                "no symbol of the alphabet is a single character, so no lines can be rendered; use --images DIR"
            )
        longest = min(_LONGEST, max(1, (self.spec.output.steps - self.spec.skip_steps) // 2))
        drawing = Drawing(
            what=self.what,
            seed=seed,
            preset=presets[0],
            fonts=pick_fonts(self.fonts, self.what == "lines"),
            chosen=kinds,
            alphabet=letters,
            length=(1, longest),
        )
        drawings = [replace(drawing, preset=preset) for preset in presets]
        if self.glyphs is not None:
            drawings += [replace(drawing, glyphs=self.glyphs) for drawing in drawings]
        # Runs of the same seed have the same labels, so every run gets its own seed.
        return [replace(drawing, seed=seed + _APART * place) for place, drawing in enumerate(drawings)]

    def _require_spelling(self, label: str) -> None:
        try:
            self.spec.alphabet.encode(label)
        except AlphabetError as error:
            raise InputError(
                f"--draw {self.what} renders {label!r}, which {self.spec.name!r} cannot write ({error}); use"
                " --images DIR"
            ) from error


def lessons_in(folders: Sequence[Path], held_back: Dataset, seed: int, recursive: bool = False) -> Source:
    """Return an endless supply of the images in folders to train with, without those that are held back.

    Raises:
        DatasetError: no image is left.
        ImageError: an image cannot be read.
    """
    compared = content_hashes(held_back.paths)
    files = content_hashes(path for folder in folders for path in find_images(folder, recursive, _no_note))
    paths = [path for content, path in files.items() if content not in compared]
    if not paths:
        raise DatasetError("no images are left to train with; add images")
    images = Dataset(folders[0], tuple(Entry(path, "") for path in paths), labelled=False)
    require_readable([images])
    return Varied(Folders((images,), seed), seed)


def _no_note(_: str) -> None:
    """Drop a note on the files of a folder, which `sampled` has written already."""
