"""Writes rendered images to files with their labels; the files do not depend on the number of processes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from .degrade import Image
from .kinds import NEGATIVE, expand
from .layouts import KINDS_2019
from .lines import Line, LineRenderer, generate_lines
from .negatives import NegativeRenderer, generate_negatives
from .synthetic import Plate, Renderer, generate
from .workers import workers as pool_of

What = Literal["plates", "plates-2019", "lines"]
WHATS: tuple[What, ...] = get_args(What)

JPEG_QUALITY = 92
_CHUNK = 32
"""Number of images that a process renders at a time."""


@dataclass(frozen=True)
class Drawing:
    """A run of images, described by values that can be sent to another process."""

    what: What
    seed: int
    preset: str
    fonts: tuple[Path, ...] = ()
    glyphs: Path | None = None
    """A folder of glyph images; `fonts` then render the glyphs that it lacks."""
    chosen: tuple[str, ...] = ()
    """Names of kinds or groups of plates, see `kinds`; empty: all forms, or KINDS_2019."""
    alphabet: str = "0123456789"
    """Alphabet of lines."""
    length: tuple[int, int] = (1, 10)
    """Fewest and most letters of a line."""
    suffix: Literal["png", "jpg"] = "png"
    named: bool = True
    """Whether the files are named by their labels; otherwise they are numbered."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of plates that are rendered in rotation; none of lines."""
        if self.chosen:
            return expand(self.chosen)
        return {"plates": expand(["all-forms"]), "plates-2019": KINDS_2019, "lines": ()}[self.what]

    @property
    def is_negative(self) -> bool:
        """True if no image has a label."""
        return set(self.kinds) <= set(NEGATIVE) and self.what == "plates"

    def render(self, n: int, start: int = 0) -> Iterator[Plate | Line]:
        """Render images `start` to `start + n - 1`.

        Raises:
            DatasetError: the fonts or the glyph folder will not do.
            AlphabetError: nor will the alphabet.
        """
        if self.what == "lines":
            lines = _line_renderer(self.fonts, self.alphabet, self.length)
            return generate_lines(n, self.seed, self.preset, start=start, renderer=lines)
        if self.is_negative:
            negatives = _negative_renderer(self.fonts, self.glyphs, self.kinds)
            return generate_negatives(n, self.seed, self.preset, start=start, renderer=negatives)
        plates = _plate_renderer(self.fonts, self.glyphs, self.kinds)
        return generate(n, self.seed, self.preset, start=start, renderer=plates)


class Drawn(NamedTuple):
    """A file that was written."""

    name: str
    label: str


@cache
def _line_renderer(fonts: tuple[Path, ...], alphabet: str, length: tuple[int, int]) -> LineRenderer:
    return LineRenderer(fonts, alphabet, length)


@cache
def _plate_renderer(fonts: tuple[Path, ...], glyphs: Path | None, kinds: tuple[str, ...]) -> Renderer:
    return Renderer(fonts, glyphs, kinds)


@cache
def _negative_renderer(fonts: tuple[Path, ...], glyphs: Path | None, kinds: tuple[str, ...]) -> NegativeRenderer:
    return NegativeRenderer(fonts or None, glyphs, kinds)


def draw_files(
    drawing: Drawing, folder: Path, n: int, start: int = 0, workers: int = 1
) -> Generator[Drawn, None, None]:
    """Write images `start` to `start + n - 1` into `folder`, in that order; close it to end the workers early.

    Raises:
        OSError: a file cannot be written.
        BackendError: a worker was killed.
    """
    chunks = [(first, min(_CHUNK, start + n - first)) for first in range(start, start + n, _CHUNK)]
    if workers == 1:
        for first, count in chunks:
            yield from _draw_chunk(drawing, folder, first, count)
        return
    with pool_of(min(workers, len(chunks))) as pool:
        for result in [pool.submit(_draw_chunk, drawing, folder, *chunk) for chunk in chunks]:
            yield from result.result()


def _draw_chunk(drawing: Drawing, folder: Path, first: int, count: int) -> list[Drawn]:
    drawn = []
    for index, rendered in enumerate(drawing.render(count, first), first):
        name = f"{rendered.label if drawing.named else f'{index:06d}'}.{drawing.suffix}"
        (folder / name).write_bytes(_encode(rendered.image, drawing.suffix))
        drawn.append(Drawn(name, rendered.label))
    return drawn


def _encode(image: Image, suffix: str) -> bytes:
    import cv2

    _, data = cv2.imencode(f".{suffix}", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == "jpg" else [])
    return data.tobytes()
