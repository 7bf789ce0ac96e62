"""`edge-crnn synth`: draw labelled plates into a folder."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..errors import OutputError
from ..progress import progress
from ..training.degrade import MILD, PRESETS, Image
from ..training.layouts import KINDS
from .command import Command, at_least

JPEG_QUALITY = 92


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `edge-crnn synth`."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the plates")
    parser.add_argument("-n", type=at_least(1), default=100, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="run to draw from (default: %(default)s)")
    parser.add_argument(
        "--start",
        type=at_least(0),
        default=0,
        metavar="I",
        help="first plate of the run (default: %(default)s)",
    )
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default=MILD.name,
        help="how badly they are pictured (default: %(default)s)",
    )
    parser.add_argument("--kind", choices=KINDS, help="one kind of plate (default: all in rotation)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--fonts",
        type=Path,
        metavar="DIR",
        help="fonts with Hangul (default: NanumGothic of koreanize-matplotlib)",
    )
    source.add_argument("--glyphs", type=Path, metavar="DIR", help="glyph images instead of fonts")
    parser.add_argument("--format", choices=("png", "jpg"), default="png", help="(default: %(default)s)")
    parser.add_argument("--unlabelled", action="store_true", help="number the files instead of naming them by label")
    parser.add_argument("--add", action="store_true", help="the folder may have files already; none is replaced")


def run(args: argparse.Namespace) -> int:
    """Draw the plates; all of them reach the folder, or none.

    Raises:
        OutputError: the folder has files already, or cannot be written.
        DatasetError: the fonts or the glyph folder will not do.
    """
    from ..training.glyphs import find_fonts
    from ..training.synthetic import Renderer, generate

    folder: Path = args.output
    if folder.is_dir() and any(folder.iterdir()) and not args.add:
        raise OutputError(f"{folder}: has files already: choose an empty folder, or add to it with --add")
    renderer = Renderer(glyphs=args.glyphs) if args.glyphs else Renderer(find_fonts(args.fonts))
    plates = generate(args.n, args.seed, args.preset, kind=args.kind, start=args.start, renderer=renderer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".synth.", dir=folder) as drawn:
            for index, plate in enumerate(progress(plates, args.n, "draw"), args.start):
                name = f"{index:06d}" if args.unlabelled else plate.label
                (Path(drawn) / f"{name}.{args.format}").write_bytes(_encode(plate.image, args.format))
            files = sorted(Path(drawn).iterdir())
            for file in files:
                if (folder / file.name).exists():
                    raise OutputError(f"{folder / file.name}: is there already: choose another --seed or --start")
            for file in files:
                file.rename(folder / file.name)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}): choose another folder") from error
    sys.stdout.write(f"{folder}: {args.n} plates, preset {args.preset}, seed {args.seed}\n")
    return 0


def _encode(image: Image, form: str) -> bytes:
    import cv2

    _, data = cv2.imencode(f".{form}", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if form == "jpg" else [])
    return data.tobytes()


COMMAND = Command("draw labelled plates", add_arguments, run)
