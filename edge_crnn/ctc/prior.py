"""A prior over labels, from how often one symbol follows another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..alphabet import Alphabet
from ..errors import AlphabetError, InputError
from .fits import Knowledge, MadeFor
from .forward import Floats, Indices

VERSION = 1
"""Version of the JSON form. 1: the first."""

_MOST_CLASSES = 4096  # its table has the square of that


@dataclass(frozen=True, eq=False)
class Prior(Knowledge):
    """A bigram model (Jelinek 1997, section 4.2) with additive smoothing: a proper distribution over all labels.

    P(label) is the product of P(symbol | symbol before), the start and the end of the label counting as symbols.
    """

    alphabet: Alphabet
    counts: Mapping[str, Mapping[str, int]]
    """Symbol → next symbol → count; an empty text is the start as the first key, and the end as the second."""
    smoothing: float = 1.0
    """Added to every count."""
    weight: float = 1.0
    """A posterior is multiplied by P(label) to this power (shallow fusion); 0 ignores the prior."""

    def __post_init__(self) -> None:
        if not 0 < self.smoothing < np.inf:
            raise InputError(
                f"a prior's smoothing is {self.smoothing}, expected a number above 0, since every label is possible"
            )
        if not 0 <= self.weight < np.inf:
            raise InputError(f"a prior's weight is {self.weight}, expected 0 or more")
        if self.alphabet.classes > _MOST_CLASSES:
            raise InputError(f"a prior is for at most {_MOST_CLASSES} classes, found {self.alphabet.classes}")
        symbols = {"", *self.alphabet.symbols}
        for symbol, following in self.counts.items():
            for name, count in ((symbol, 0), *following.items()):
                if name not in symbols:
                    raise InputError(f"the prior has {name!r}, expected the symbols {self.alphabet}: fit it anew")
                if type(count) is not int or count < 0:
                    raise InputError(f"the prior has {name!r} {count!r} times after {symbol!r}, expected a count")

    @classmethod
    def fit(
        cls, labels: Iterable[Sequence[int]], alphabet: Alphabet, *, smoothing: float = 1.0, weight: float = 1.0
    ) -> Prior:
        """Count symbol pairs in labels, given as class indices without blanks.

        Raises:
            InputError: there is no label, an index is the blank or no class, or an option is out of range.
        """
        counts: dict[str, dict[str, int]] = {}
        for label in labels:
            try:
                symbols = ["", *(alphabet.spell([index]) for index in label), ""]
            except AlphabetError as error:
                raise InputError(f"labels to fit a prior to: {error}") from error
            for before, after in pairwise(symbols):
                row = counts.setdefault(before, {})
                row[after] = row.get(after, 0) + 1
        if not counts:
            raise InputError("no label to fit a prior to: give at least one")
        return cls(alphabet, counts, smoothing, weight)

    @classmethod
    def from_json(cls, text: str, alphabet: Alphabet, origin: str = "prior", *, weight: float = 1.0) -> Prior:
        """Read the JSON that `to_json` wrote.

        Raises:
            InputError: the text is no such JSON, or for another alphabet; the message begins with `origin`.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{origin}: not valid JSON ({error}); fit the prior again") from error
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise InputError(f"{origin}: found no prior of version {VERSION}; fit it with this edge-crnn")
        counts = data.get("counts")
        smoothing = data.get("smoothing")
        if (
            not isinstance(counts, dict)
            or not all(isinstance(row, dict) for row in counts.values())
            or not isinstance(smoothing, int | float)
        ):
            raise InputError(f"{origin}: expected `smoothing`, a number, and `counts`, symbol → symbol → count")
        try:
            return cls(alphabet, counts, smoothing, weight)
        except InputError as error:
            raise InputError(f"{origin}: {error}") from error

    def to_json(self) -> str:
        """Return JSON without the weight, which the reader chooses."""
        data = {"version": VERSION, "smoothing": self.smoothing, "counts": self.counts}
        return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)

    @cached_property
    def factors(self) -> Floats:
        """(C + 1, C + 1): P(class | class before) to the power of the weight; C is the start, and the end. Blank: 1."""
        classes, blank = self.alphabet.classes, self.alphabet.blank
        place = {"": classes, **dict(zip(self.alphabet.symbols, self.alphabet.indices, strict=True))}
        table = np.full((classes + 1, classes + 1), self.smoothing)
        table[:, blank] = 0.0
        for before, row in self.counts.items():
            for after, count in row.items():
                table[place[before], place[after]] += count
        table /= table.sum(axis=1, keepdims=True)
        table[:, blank] = table[blank] = 1.0
        powers: Floats = table**self.weight
        return powers

    def log_of(self, sequences: Sequence[Indices]) -> Floats:
        """Return weight × log P of each sequence, (K,)."""
        end = self.alphabet.classes
        return np.array([np.log(self.factors[(end, *sequence), (*sequence, end)]).sum() for sequence in sequences])

    @property
    def made_for(self) -> MadeFor:
        """The network whose class indices it uses."""
        return MadeFor("the prior", self.alphabet.classes, self.alphabet.blank)
