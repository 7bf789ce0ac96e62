"""The prefix search over one image after another, in plain Python: faster where there is little to search."""

from __future__ import annotations

import math
from typing import TypeAlias

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
    """Return what `search_batch` does, bit for bit: the same operations in the same order."""
    return [
        _search(row, Symbols(*(field[image] for field in symbols)), left, blank, width, automaton, factors)
        for image, (row, left) in enumerate(zip(rows, remaining.tolist(), strict=True))
    ]


_Prefix: TypeAlias = tuple[float, float, float, int, int, int, int]
"""A prefix in the beam: its probability ending in a blank, that ending in its last label, and their sum; the class of
that label, -1 for the empty prefix; its node and its parent's; the automaton's state. A named tuple would take seven
times as long to create, and an image needs hundreds."""


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
    beam: list[_Prefix] = [(1.0, 0.0, 1.0, -1, 0, -2, 0)]
    each_step = zip(row, *(field.tolist() for field in symbols), strict=True)
    for step, (emitted, count, labels, chances) in enumerate(each_step):
        appended = list(zip(labels[:count], chances[:count], strict=True))
        left = max(remaining - step - 1, 0)
        beam = _advance(beam, emitted, blank, appended, width, prefixes, singly, factors, left)
        if not beam:
            return []
    return prefixes.spell([node for *_, node, _, _ in beam], list(prefixes.nodes))


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
    held = {prefix[4]: prefix for prefix in beam}
    totals: list[float] = []
    choices: list[tuple[_Prefix, int]] = []  # a prefix that stays and -1, or the prefix that grows and the label
    for prefix in beam:
        ending_blank, ending_label, total, last, node, parent, state = prefix
        if parent in held:  # both ways lead to one prefix
            short_blank, _, short_total, short_last, *_ = held[parent]
            flow = short_blank if short_last == last else short_total
            ending_label += flow if factors is None else flow * factors.item(short_last, last)
        stay_blank = total * blank_chance
        stay_label = ending_label * emitted.item(last) if last >= 0 else 0.0
        if automaton is not None:
            if automaton.needs(state, -1) > left:
                stay_blank = 0.0
            if automaton.needs(state, last) > left:
                stay_label = 0.0
        stay = stay_blank + stay_label
        if stay > 0:
            totals.append(stay)
            choices.append(((stay_blank, stay_label, stay, last, node, parent, state), -1))
        for label, chance in appended:
            # A repeated label is a new character only after a blank.
            grown = (ending_blank if label == last else total) * chance
            if factors is not None:
                grown *= factors.item(last, label)
            if grown > 0 and prefixes.nodes.get(node * classes + label) not in held:
                if automaton is not None and automaton.needs_after(state, label) > left:
                    continue
                totals.append(grown)
                choices.append((prefix, label))
    best = sorted(range(len(totals)), key=totals.__getitem__, reverse=True)[:width]  # stable: the first of equals wins
    if not best:
        return []
    exponent = 0 if totals[best[0]] > LOW else -math.frexp(totals[best[0]])[1]
    kept = []
    for index in best:
        prefix, label = choices[index]
        if label >= 0:
            *_, parent, _, state = prefix
            node = prefixes.nodes.setdefault(parent * classes + label, len(prefixes.nodes))
            state = 0 if automaton is None else automaton.follow(state, label)
            prefix = (0.0, totals[index], totals[index], label, node, parent, state)
        kept.append(prefix if exponent == 0 else _scaled(prefix, exponent))
    return kept


def _scaled(prefix: _Prefix, exponent: int) -> _Prefix:
    """Multiply by a power of two."""
    blank, label, total, last, node, parent, state = prefix
    blank, label, total = (math.ldexp(chance, exponent) for chance in (blank, label, total))
    return blank, label, total, last, node, parent, state
