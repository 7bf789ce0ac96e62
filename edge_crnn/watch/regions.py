"""Regions that may change while a camera is watched: their JSON form, their file, and the finder that looks in them.

The file is named on the command line. A page that edits the regions passes them to `Regions.save`, so no part of a
request becomes the name of a file.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..files import write_atomically
from ..model.typed import build
from .finding.region import Region
from .frame import Frame
from .protocols import Finder
from .sighting import Sighting

_MOST_REGIONS = 16
_MOST_POINTS = 32
_LONGEST_NAME = 40
_MOST_BYTES = 64 << 10


@dataclass(frozen=True)
class _Content:
    regions: tuple[Region, ...]
    version: Literal[1] = 1


def as_json(regions: Sequence[Region]) -> dict[str, Any]:
    """Return the JSON object of regions, which `parse` reads."""
    return asdict(_Content(tuple(regions)))


def parse(data: bytes, origin: str) -> tuple[Region, ...]:
    """Read `{"version": 1, "regions": [{"name": "gate", "points": [[x, y], …]}, …]}`.

    A region has the fields of `Region`; all but its name and its points may be left out.

    Args:
        data: the text, in UTF-8.
        origin: what the text is from, for messages.

    Raises:
        InputError: the text has another form, a value is out of range, or a name occurs twice.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin}: not JSON; expected regions as the page saves them") from error
    regions = build(_Content, content, origin, InputError).regions
    if len(regions) > _MOST_REGIONS:
        raise InputError(f"{origin}: found {len(regions)} regions, expected at most {_MOST_REGIONS}")
    for region in regions:
        if len(region.points) > _MOST_POINTS:
            raise InputError(f"{origin}: found {len(region.points)} points, expected at most {_MOST_POINTS} per region")
        if len(region.name) > _LONGEST_NAME:
            raise InputError(f"{origin}: a name is longer than {_LONGEST_NAME} characters; shorten it")
    named = tuple(replace(region, name=region.name.strip()) for region in regions)
    if len({region.name for region in named}) < len(named):
        raise InputError(f"{origin}: two regions have the same name; rename one")
    return named


class Regions:
    """A finder whose regions are kept in a file, and may be changed by any thread while another one finds.

    Args:
        path: the file, which `save` creates if it is missing.
        make: makes a finder for regions, such as `partial(RegionFinder, reader)`. It is called at the start, and with
            every change.
        initial: the regions while there is no file; none: the whole frame.

    Raises:
        InputError: the file cannot be read or has another form, or `make` refuses its regions.
    """

    def __init__(self, path: Path, make: Callable[[Sequence[Region]], Finder], initial: Sequence[Region] = ()) -> None:
        self._path = path
        self._make = make
        self._saving = threading.Lock()
        self.current = _load(path, tuple(initial))
        """The regions; none: the whole frame."""
        self._finder = self._finder_of(self.current)

    def find(self, frame: Frame) -> list[Sighting]:
        """Return what was read in the present regions of a frame."""
        return self._finder.find(frame)

    def save(self, regions: Sequence[Region]) -> None:
        """Write regions to the file, and find in them from the next frame on.

        Raises:
            InputError: they are refused; the file and the finder are as before.
            OutputError: the file cannot be written; likewise.
        """
        with self._saving:
            finder = self._finder_of(regions)
            write_atomically(self._path, f"{json.dumps(as_json(regions), ensure_ascii=False, indent=1)}\n".encode())
            self.current, self._finder = tuple(regions), finder

    def _finder_of(self, regions: Sequence[Region]) -> Finder:
        return self._make(regions or (Region(),))


def _load(path: Path, initial: tuple[Region, ...]) -> tuple[Region, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return initial
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file of regions") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path}: is larger than {_MOST_BYTES:,} bytes, so it is no file of regions; name another one")
    return parse(data, str(path))
