"""Counts what a grammar allows."""

from __future__ import annotations

import numpy as np

from edge_crnn.ctc.grammar import Grammar


def count_labels(grammar: Grammar) -> int:
    """Count the labels of a grammar whose labels have a maximum length."""
    at = np.zeros(len(grammar.steps), object)
    at[0] = 1
    count = 0
    while at.any():
        count += at[grammar.steps[:, -1] == 0].sum()
        following = np.zeros(len(at), object)
        for symbol in np.flatnonzero(grammar.used):
            np.add.at(following, grammar.transitions[:, symbol], at)
        following[-1] = 0
        at = following
    return int(count)
