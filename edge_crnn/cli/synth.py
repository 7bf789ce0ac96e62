"""`edge-crnn synth`: renders labelled images of number plates or lines of text into a folder."""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import get_args

from ..dataset import LABELS
from ..errors import InputError, OutputError
from ..files import require_place, write_atomically
from ..progress import progress
from ..training.degrade import MILD, PRESETS
from ..training.folder import WHATS, Drawing, Drawn, draw_files
from ..training.fonts import HELD_OUT, FontSplit, find_fonts, pick_fonts
from ..training.kinds import GROUPS, NEGATIVE, READABLE
from ..training.layouts import read_label
from .command import Command, at_least, length, share

_SHEET = 100
"""Largest number of images on a contact sheet."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `synth`."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the images")
    parser.add_argument(
        "-n", "--count", type=at_least(1), default=100, metavar="N", help="number of images (default: %(default)s)"
    )
    parser.add_argument(
        "--what",
        choices=WHATS,
        default=WHATS[0],
        help="plates of all kinds, plates of 2019 with their own alphabet, or lines of text (default: %(default)s)",
    )
    parser.add_argument(
        "--preset", choices=list(PRESETS), default=MILD.name, help="how degraded the images are (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="seed of the series of images (default: %(default)s)"
    )
    parser.add_argument(
        "--start",
        type=at_least(0),
        default=0,
        metavar="N",
        help="place of the first image in the series (default: %(default)s)",
    )
    parser.add_argument(
        "--kind",
        choices=[*READABLE, *NEGATIVE, *GROUPS],
        metavar="KIND",
        help=f"kind of plate: {', '.join(READABLE)}; an image to reject, rendered without a label:"
        f" {', '.join(NEGATIVE)}; or a group that is rendered in turn: {', '.join(GROUPS)} (default: all-forms)",
    )
    parser.add_argument(
        "--alphabet", metavar="TEXT", help=f"characters that lines are made of (default: {Drawing.alphabet})"
    )
    parser.add_argument(
        "--length",
        type=length,
        metavar="A-B",
        help="minimum and maximum number of characters in a line (default: {}-{})".format(*Drawing.length),
    )
    parser.add_argument(
        "--fonts",
        type=Path,
        metavar="DIR",
        help="folder of fonts (default: NanumGothic from koreanize-matplotlib, for lines also DejaVu)",
    )
    parser.add_argument(
        "--glyphs",
        type=Path,
        metavar="DIR",
        help="folder of glyph images for plates; it must have all glyphs, unless --fonts renders the missing ones",
    )
    parser.add_argument(
        "--font-split",
        choices=get_args(FontSplit),
        default="all",
        help="use only the font families for training, or only those held out for testing (default: %(default)s)",
    )
    parser.add_argument(
        "--held-out",
        type=share,
        default=HELD_OUT,
        metavar="SHARE",
        help="share of the font families that is held out, chosen by name (default: %(default)s)",
    )
    parser.add_argument(
        "--format", choices=("png", "jpg"), default="png", help="format of the images (default: %(default)s)"
    )
    parser.add_argument("--unlabelled", action="store_true", help="number the files and write no labels")
    parser.add_argument("--add", action="store_true", help="add to a folder that has files, without replacing any")
    parser.add_argument(
        "--workers",
        type=at_least(1, 256),
        default=1,
        metavar="N",
        help="processes that render images (default: %(default)s)",
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG", help=f"also put the first {_SHEET} images on one page in this file"
    )


def run(args: argparse.Namespace) -> int:
    """Render the images. Either all of them reach the folder, or none.

    Raises:
        InputError: the options cannot be combined.
        OutputError: the folder already has files, or cannot be written.
        DatasetError: the fonts or the glyph folder are unusable.
        AlphabetError: the alphabet is unusable.
    """
    drawing = _drawing(args)
    folder = args.output
    sheet = args.sheet
    _require_room(folder, sheet, drawing, args)
    next(drawing.render(1))  # reports unusable fonts before the folder is created
    in_table = drawing.what == "lines" and not args.unlabelled
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".synth.", dir=folder) as place:
            files = draw_files(drawing, Path(place), args.count, args.start, args.workers)
            with closing(files):
                drawn = list(progress(files, args.count, "rendering"))
            page = _sheet(drawing, Path(place), drawn[:_SHEET], args.start) if sheet else None
            for file in drawn:
                if (folder / file.name).exists():
                    raise OutputError(f"{folder / file.name}: already exists; choose another --seed or --start")
            if in_table:  # first, because without a table a number would be taken for a label
                _add_labels(folder / LABELS, drawn)
            for file in drawn:
                (Path(place) / file.name).rename(folder / file.name)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from error
    if page is not None:
        write_atomically(sheet, page)
    noun = "lines" if drawing.what == "lines" else "plates"
    if drawing.is_negative:
        noun = "negatives"
    sys.stdout.write(f"wrote {folder}: {args.count} {noun}, preset {args.preset}, seed {args.seed}\n")
    return 0


def _drawing(args: argparse.Namespace) -> Drawing:
    lines = args.what == "lines"
    for option, fits in (
        ("kind", args.what == "plates"),
        ("glyphs", not lines),
        ("alphabet", lines),
        ("length", lines),
    ):
        if getattr(args, option) is not None and not fits:
            raise InputError(f"--{option} does not apply to --what {args.what}; leave out one of them")
    has_fonts = args.fonts is not None or args.glyphs is None
    if not has_fonts and args.font_split != "all":
        raise InputError("--font-split does not apply to --glyphs alone; leave out one of them, or add --fonts")
    fonts = pick_fonts(args.fonts, lines, args.font_split, args.held_out) if has_fonts else ()
    return Drawing(
        what=args.what,
        seed=args.seed,
        preset=args.preset,
        fonts=fonts,
        glyphs=args.glyphs,
        chosen=() if args.kind is None else (args.kind,),
        alphabet=Drawing.alphabet if args.alphabet is None else args.alphabet,
        length=args.length or Drawing.length,
        suffix=args.format,
        named=not (lines or _is_unlabelled(args)),
    )


def _is_unlabelled(args: argparse.Namespace) -> bool:
    """Return True if the images have no labels, because none was wanted or because no label would be correct."""
    return args.unlabelled or args.kind in (*NEGATIVE, "negatives")


def _require_room(folder: Path, sheet: Path | None, drawing: Drawing, args: argparse.Namespace) -> None:
    filled = folder.is_dir() and any(folder.iterdir())
    if filled and not args.add:
        raise OutputError(f"{folder}: already has files; choose an empty folder, or add to it with --add")
    if filled and not _is_unlabelled(args) and (folder / LABELS).exists() == drawing.named:
        present = LABELS if drawing.named else "file names"
        new = "file names" if drawing.named else LABELS
        raise OutputError(
            f"{folder}: has labels in {present}, but the new images have them in {new}; choose another folder"
        )
    if sheet:
        if sheet.suffix.lower() != ".png":
            raise OutputError(f"{sheet}: the sheet must end in .png")
        if sheet.resolve().parent == folder.resolve():
            raise OutputError(f"{sheet}: would be mistaken for one of the images; put the sheet in another folder")
        require_place(sheet)


def _add_labels(table: Path, drawn: list[Drawn]) -> None:
    text = io.StringIO(newline="")
    if table.exists():
        before = table.read_bytes().decode("utf-8-sig")
        text.write(before if before.endswith("\n") else before + "\n")
    else:
        text.write("image,label\n")
    csv.writer(text, lineterminator="\n").writerows(drawn)
    write_atomically(table, text.getvalue().encode())


def _sheet(drawing: Drawing, folder: Path, drawn: list[Drawn], start: int) -> bytes:
    """Draw the contact sheet as PNG; the caption is the label and the text for people, or the kind without a label."""
    import cv2

    from ..training.sheet import contact_sheet

    kinds = drawing.kinds
    captioned = []
    for place, file in enumerate(drawn, start):
        image = cv2.imread(str(folder / file.name))
        assert image is not None  # it has just been written
        caption = _caption(file.label, kinds[place % len(kinds)]) if kinds else file.label
        captioned.append((caption, image.astype("uint8", copy=False)))
    page = contact_sheet(captioned, (drawing.fonts or find_fonts())[0])
    return cv2.imencode(".png", page)[1].tobytes()


def _caption(label: str, kind: str) -> str:
    if not label:
        return kind
    text = read_label(label, kind)
    return label if text == label else f"{label}  {text}"


COMMAND = Command(
    "render labelled plates or lines of text",
    add_arguments,
    run,
    details="The same seed, preset and fonts give the same images.",
    examples=(
        "synth -o plates -n 1000 --preset heavy",
        "synth -o lines -n 1000 --what lines --length 4-8 --sheet lines.png",
    ),
)
