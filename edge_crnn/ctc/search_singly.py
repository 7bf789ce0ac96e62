"""The prefix search over one image after the other, in plain Python: quicker where there is little to search."""

from __future__ import annotations

import math
from typing import NamedTuple

from .automaton import Automaton, Integers, Singly
from .forward import Floats, Indices
from .symbols import LOW, Prefixes, Symbols


def search_singly(
    rows: Floats,
    symbols: Symbols,
    remaining: Integers,
    blank: int,
    width: int,
    automaton: Automaton | None,
    factors: Floats | None = None,
) -> list[list[Indices]]:
    """What `search_batch` finds, bit for bit: the same operations in the same order."""
    return [
        _search(row, Symbols(*(each[image] for each in symbols)), left, blank, width, automaton, factors)
        for image, (row, left) in enumerate(zip(rows, remaining.tolist(), strict=True))
    ]


class _Prefix(NamedTuple):
    """One in the beam."""

    ending_blank: float
    ending_label: float
    total: float
    last: int
    """Class of the last label; -1 for the empty prefix."""
    node: int
    parent: int
    state: int
    """Of the automaton."""

    def scaled(self, exponent: int) -> _Prefix:
        """Times a power of two."""
        blank, label, total = (math.ldexp(each, exponent) for each in self[:3])
        return self._replace(ending_blank=blank, ending_label=label, total=total)


def _search(
    row: Floats,
    symbols: Symbols,
    remaining: int,
    blank: int,
    width: int,
    automaton: Automaton | None,
    factors: Floats | None,
) -> list[Indices]:
    prefixes = Prefixes(row.shape[1])
    singly = None if automaton is None else automaton.singly
    beam = [_Prefix(1.0, 0.0, 1.0, -1, 0, -2, 0)]
    each_step = zip(row, *(each.tolist() for each in symbols), strict=True)
    for step, (emitted, count, labels, chances) in enumerate(each_step):
        appended = list(zip(labels[:count], chances[:count], strict=True))
        left = max(remaining - step - 1, 0)
        beam = _advance(beam, emitted, blank, appended, width, prefixes, singly, factors, left)
        if not beam:
            return []
    return prefixes.spell([prefix.node for prefix in beam], list(prefixes.nodes))


def _advance(
    beam: list[_Prefix],
    emitted: Floats,
    blank: int,
    appended: list[tuple[int, float]],
    width: int,
    prefixes: Prefixes,
    automaton: Singly | None,
    factors: Floats | None,
    left: int,
) -> list[_Prefix]:
    classes = prefixes.classes
    blank_chance = emitted.item(blank)
    held = {prefix.node: prefix for prefix in beam}
    totals: list[float] = []
    found: list[tuple[_Prefix, int]] = []  # what stays and -1, or from what a new one grows and its label
    for prefix in beam:
        ending_blank, ending_label, total, last, node, parent, state = prefix
        if parent in held:  # two ways to one prefix
            short = held[parent]
            flow = short.ending_blank if short.last == last else short.total
            ending_label += flow if factors is None else flow * factors.item(short.last, last)
        stay_blank = total * blank_chance
        stay_label = ending_label * emitted.item(last) if last >= 0 else 0.0
        if automaton is not None:
            if automaton.needs(state, -1) > left:
                stay_blank = 0.0
            if automaton.needs(state, last) > left:
                stay_label = 0.0
        if stay_blank + stay_label > 0:
            totals.append(stay_blank + stay_label)
            found.append((_Prefix(stay_blank, stay_label, totals[-1], last, node, parent, state), -1))
        for label, chance in appended:
            # A repeated label is a new character only after a blank.
            grown = (ending_blank if label == last else total) * chance
            if factors is not None:
                grown *= factors.item(last, label)
            if grown > 0 and prefixes.nodes.get(node * classes + label) not in held:
                if automaton is not None and automaton.needs_after(state, label) > left:
                    continue
                totals.append(grown)
                found.append((prefix, label))
    best = sorted(range(len(totals)), key=totals.__getitem__, reverse=True)[:width]  # of equals the first
    if not best:
        return []
    exponent = 0 if totals[best[0]] > LOW else -math.frexp(totals[best[0]])[1]
    kept = []
    for index in best:
        prefix, label = found[index]
        if label >= 0:
            node = prefixes.nodes.setdefault(prefix.node * classes + label, len(prefixes.nodes))
            state = 0 if automaton is None else automaton.follow(prefix.state, label)
            prefix = _Prefix(0.0, totals[index], totals[index], label, node, prefix.node, state)
        kept.append(prefix if exponent == 0 else prefix.scaled(exponent))
    return kept
