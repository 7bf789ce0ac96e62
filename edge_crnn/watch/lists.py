"""Lists of plates: which are allowed, and which are blocked."""

from __future__ import annotations

from pathlib import Path

import numpy.typing as npt

from ..alphabet import Alphabet
from ..backends import Probabilities
from ..ctc import Lexicon, parse_labels
from ..ctc.forward import Indices
from ..errors import InputError
from ..model.spec import ModelSpec
from ..reader.decoding import Decoding
from ..reading import FusedReading
from .event import Listed

WEIGHT = 100.0
"""How much more probable a listed plate is than another: it decides where the network is in doubt."""
RESCUE = 0.001
"""How much less probable a listed plate is that differs by one symbol from what the network sees. Times `WEIGHT`, it is
below 1: a plate that the network sees clearly is never taken for a listed one."""


class Lists:
    """Plates that are allowed and plates that are blocked. A plate in both lists is blocked.

    Args:
        spec: the spec of the model that reads the plates.
        allowed: plates, one per line, as people write them or as labels; see `ctc.parse_labels`.
        blocked: plates, likewise.
        weight: how much more probable a listed plate is than another; see `ctc.Lexicon`.
        rescue: cost at which a listed plate is read that differs by one symbol from what the network sees; likewise.
        origins: names of both lists for messages.

    Raises:
        InputError: a line is no plate, no list has a plate, or a number is out of range.
    """

    def __init__(
        self,
        spec: ModelSpec,
        allowed: list[str] | None = None,
        blocked: list[str] | None = None,
        *,
        weight: float = WEIGHT,
        rescue: float = RESCUE,
        origins: tuple[str, str] = ("list of allowed plates", "list of blocked plates"),
    ) -> None:
        self._alphabet = spec.alphabet
        self._allowed = _labels(allowed, spec.alphabet, origins[0])
        self._blocked = _labels(blocked, spec.alphabet, origins[1])
        if not self._allowed | self._blocked:
            raise InputError("the lists have no plate: add one, or watch without lists")
        lexicon = Lexicon.of(self._allowed | self._blocked, spec.alphabet, "lists", weight=weight, rescue=rescue)
        self._decoding = Decoding(spec, lexicon=lexicon)

    @classmethod
    def read(
        cls,
        spec: ModelSpec,
        allow: Path | None = None,
        block: Path | None = None,
        *,
        weight: float = WEIGHT,
        rescue: float = RESCUE,
    ) -> Lists:
        """Read lists from UTF-8 text files, with one plate per line; empty lines and comments (#) are skipped.

        Raises:
            InputError: a file cannot be read, a line is no plate, or no file has a plate.
        """
        lines = _lines(allow), _lines(block)
        return cls(spec, *lines, weight=weight, rescue=rescue, origins=(str(allow), str(block)))

    def listed(self, label: str) -> Listed:
        """Return on which list a label is."""
        indices = self._alphabet.encode_reading(label)
        if indices in self._blocked:
            return "blocked"
        return "allowed" if indices in self._allowed else "unlisted"

    def fuse(self, probabilities: Probabilities, weights: npt.ArrayLike | None = None) -> FusedReading:
        """Make one reading of several images, as `Reader.fuse_decoded`, that prefers the plates of the lists.

        Raises:
            InputError: in the same cases as `Reader.fuse_decoded`.
        """
        return self._decoding.fuse(probabilities, weights)


def _labels(lines: list[str] | None, alphabet: Alphabet, origin: str) -> set[Indices]:
    return set(parse_labels(lines or (), alphabet, origin))


def _lines(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a text file with a plate per line"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8, with a plate per line") from error
