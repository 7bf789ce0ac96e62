from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.alphabet import PLATES, Alphabet
from edge_crnn.ctc import Grammar, Lexicon, parse_labels
from edge_crnn.ctc.automaton import FAR
from edge_crnn.ctc.lexicon import steps_of
from edge_crnn.errors import InputError
from edge_crnn.training.layouts import KINDS, label_at

from .small import Labels, batches, one_edit, posteriors

ABC = Alphabet(("a", "b", "c"), blank=1)
SYMBOLS = [0, 2, 3]
WIDE = {"width": 300, "n_best": 300, "min_ratio": 0, "top_k": None}
labels = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4).map(tuple)
lexica = st.sets(labels, min_size=1, max_size=12)


@given(lexica)
def test_the_automaton_is_of_these_labels_alone_and_the_smallest(entries: set[Labels]) -> None:
    automaton = Lexicon.of(entries, ABC).automaton
    # Walked through all prefixes: each leads to the state that stands for what may follow it.
    follows: dict[Labels, frozenset[Labels]] = {}
    for entry in entries:
        for length in range(len(entry) + 1):
            prefix = entry[:length]
            follows[prefix] = frozenset(entry[length:] for entry in entries if entry[:length] == prefix)
    states: dict[frozenset[Labels], int] = {}
    for prefix, rests in follows.items():
        state = 0
        for index in prefix:
            state = automaton.singly.follow(state, index)
        at = np.array([state])
        assert states.setdefault(rests, state) == state
        for index in SYMBOLS:
            symbol = np.array([index])
            grown = follows.get((*prefix, index))
            needs = FAR if grown is None else min(steps_of((index, *rest)) for rest in grown) - 1
            assert automaton.singly.needs_after(state, index) == automaton.needs_after(at, symbol)[0] == needs
            least = min(steps_of((index, *rest)) for rest in rests) - 1
            assert automaton.singly.needs(state, index) == automaton.needs(at, symbol)[0] == least
            if grown is not None:
                assert automaton.follow(at, symbol)[0] == automaton.singly.follow(state, index)
        after_blank = min(map(steps_of, rests))
        assert automaton.singly.needs(state, -1) == automaton.needs(at, -1)[0] == after_blank
    assert len(set(states.values())) == len(states) == len(automaton.least)
    assert set(np.flatnonzero(automaton.used)) == {index for entry in entries for index in entry}


@given(lexica, st.lists(st.sampled_from(SYMBOLS), max_size=5).map(tuple))
def test_known_and_near_labels(entries: set[Labels], other: Labels) -> None:
    lexicon = Lexicon.of(entries, ABC)
    for label in (other, *entries):
        assert lexicon.accepts(label) == (label in entries)
        assert lexicon.near(label) == sorted(one_edit(label, SYMBOLS) & entries)


@given(batches(4), lexica)
def test_alone_they_are_all_that_is_read(rows: np.ndarray, entries: set[Labels]) -> None:
    lexicon = Lexicon.of(entries, ABC)
    assume(rows.shape[1] >= lexicon.shortest)
    for image, readings in zip(rows, ctc.beam(rows, 1, lexicon=lexicon, **WIDE), strict=True):
        expected = {label: p for label, p in posteriors(image, 1).items() if label in entries}
        assert {reading.indices: reading.confidence for reading in readings} == pytest.approx(expected, rel=1e-12)
        for reading in readings:
            assert reading.weighted == pytest.approx(reading.confidence)
            assert not reading.rescued


@given(batches(4), lexica, st.floats(1e-3, 1e6), st.floats(0.01, 1.0))
def test_weights_and_rescues_are_those_of_the_formula(
    rows: np.ndarray, entries: set[Labels], weight: float, rescue: float
) -> None:
    assume(rows.shape[1] >= Lexicon.of(entries, ABC).shortest)
    for options in (
        {"weight": weight},
        {"weight": weight, "rescue": rescue},
        {"weight": math.inf, "rescue": rescue},
    ):
        lexicon = Lexicon.of(entries, ABC, **options)
        for image, readings in zip(rows, ctc.beam(rows, 1, lexicon=lexicon, **WIDE), strict=True):
            own = posteriors(image, 1)
            seen = max(own, key=own.__getitem__)
            if sorted(own.values())[-2:-1] == pytest.approx([own[seen]], rel=1e-9):
                continue  # of equals, either may be the one that is seen
            scores = {}
            for label in {*own, *entries}:
                score = own.get(label, 0.0)
                is_known = label in entries
                if lexicon.rescue and is_known and seen not in entries and label in one_edit(seen, SYMBOLS):
                    score += lexicon.rescue * own[seen] * (steps_of(label) <= len(image))
                if math.isinf(lexicon.weight):
                    score *= is_known
                elif is_known:
                    score *= weight
                if score > 0:
                    scores[label] = score
            total = sum(scores.values())
            covered = min(total, 1.0) if math.isinf(lexicon.weight) else 1.0
            assert {reading.indices: reading.weighted for reading in readings} == pytest.approx(
                {label: score / total * covered for label, score in scores.items()}, rel=1e-9
            )
            assert [reading.weighted for reading in readings] == sorted(
                (reading.weighted for reading in readings), reverse=True
            )
            for reading in readings:
                assert reading.confidence == pytest.approx(own.get(reading.indices, 0.0), rel=1e-12)
                assert reading.rescued == (
                    lexicon.rescue * own[seen] > own.get(reading.indices, 0.0)
                    and seen not in entries
                    and reading.indices in one_edit(seen, SYMBOLS) & entries
                )
                assert [start < end for start, end in reading.spans] == [True] * len(reading.indices)


@given(batches(4, lowest=1), lexica, st.integers(1, 4), st.sampled_from([math.inf, 50.0]), st.sampled_from([0.0, 0.3]))
def test_a_batch_decodes_as_its_singles(
    rows: np.ndarray, entries: set[Labels], width: int, weight: float, rescue: float
) -> None:
    lexicon = Lexicon.of(entries, ABC, weight=weight, rescue=rescue)
    assume(rows.shape[1] >= lexicon.shortest)
    options = {"width": width, "n_best": width, "lexicon": lexicon}
    assert ctc.beam(rows, 1, **options) == [ctc.beam(image[np.newaxis], 1, **options)[0] for image in rows]
    scored = ctc.search(rows, 1, **options)
    assert [[reading.indices for reading in readings] for readings in scored] == [
        [reading.indices for reading in readings] for readings in ctc.beam(rows, 1, **options)
    ]


def test_a_known_plate_is_read_if_it_is_nearly_as_probable() -> None:
    rows = np.full((1, 3, 4), 0.02)
    rows[0, 0, [0, 2]] = [0.6, 0.36]
    rows[0, 1, 1] = rows[0, 2, 3] = 0.94
    label = [(2, 3)]
    assert ctc.beam(rows, 1)[0][0].indices == (0, 3)
    ((reading,),) = ctc.beam(rows, 1, lexicon=Lexicon.of(label, ABC, weight=10))
    assert (reading.indices, reading.rescued) == ((2, 3), False)
    assert reading.confidence == ctc.posterior(rows, label, 1)[0] < 0.4
    assert 0.8 < reading.weighted < 0.9
    ((reading,),) = ctc.beam(rows, 1, lexicon=Lexicon.of(label, ABC, weight=1.2))
    assert reading.indices == (0, 3)


def test_a_plate_is_rescued_of_which_the_network_sees_nothing() -> None:
    rows = np.eye(4)[[[0, 1, 0, 3]]] * 1.0
    for label in [(0, 2, 3), (0, 0, 3, 2), (0, 3), (0, 0, 0, 3)]:
        entries = [label, (2, 2)]
        lexicon = Lexicon.of(entries, ABC, weight=100, rescue=0.1)
        ((reading,),) = ctc.beam(rows, 1, lexicon=lexicon)
        if steps_of(label) > 4:  # it could not be seen either
            assert (reading.indices, reading.rescued) == ((0, 0, 3), False)
            assert ctc.beam(rows, 1, lexicon=Lexicon.of(entries, ABC, rescue=0.1)) == [[]]
            continue
        assert (reading.indices, reading.rescued, reading.confidence) == (label, True, 0.0)
        assert reading.weighted == pytest.approx(10 / 11)
        assert len(reading.spans) == len(reading.confidences) == len(label)
        assert ctc.beam(rows, 1, lexicon=Lexicon.of(entries, ABC, weight=5, rescue=0.1))[0][0].indices == (0, 0, 3)
        ((only,),) = ctc.beam(rows, 1, lexicon=Lexicon.of(entries, ABC, rescue=0.1))
        assert (only.indices, only.rescued, only.weighted) == (label, True, pytest.approx(0.1))


@pytest.mark.parametrize("least", [1e-160, 1e-200])  # of what is known: a posterior of 1e-320, and of none
@pytest.mark.parametrize("options", [{}, {"rescue": 0.5}, {"weight": 1e300}, {"weight": 1e-300, "rescue": 0.5}])
def test_a_known_label_may_be_nearly_impossible(least: float, options: dict[str, float]) -> None:
    rows = np.full((1, 3, 4), least)
    rows[0, :, 1] = 1.0
    lexicon = Lexicon.of([(2, 3)], ABC, **options)
    readings = ctc.beam(rows, 1, lexicon=lexicon, n_best=3, min_ratio=0)[0]
    alone = math.isinf(lexicon.weight)
    assert readings[0].indices == ((2, 3) if alone else ())
    assert [reading.weighted for reading in readings] == pytest.approx([0.0] if alone else [1.0, 0.0, 0.0])


@given(batches(4), lexica, st.sampled_from([math.inf, 50.0]), st.sampled_from([0.0, 0.3]))
def test_nothing_outside_a_grammar_is_read(
    rows: np.ndarray, entries: set[Labels], weight: float, rescue: float
) -> None:
    grammar = Grammar.compile("[ab]{1,2}c?", ABC)
    lexicon = Lexicon.of(entries, ABC, weight=weight, rescue=rescue)
    assume(rows.shape[1] >= max(lexicon.shortest, grammar.shortest))
    for readings in ctc.beam(rows, 1, n_best=10, lexicon=lexicon, grammar=grammar):
        assert all(grammar.accepts(reading.indices) for reading in readings)
        assert math.isfinite(weight) or all(reading.indices in entries for reading in readings)


def test_lines_are_labels_or_texts() -> None:
    lines = ["# residents", "서울 18 나 6897", "", "  B18sk6897\r\n", "18나6897", "A18sk6897", "\n"]
    labels = [PLATES.spell(indices) for indices in parse_labels(lines, PLATES)]
    assert labels == ["A18sk6897", "B18sk6897", "Z18sk6897", "A18sk6897"]
    lexicon = Lexicon.parse(lines, PLATES, weight=2.0)
    assert lexicon.accepts(PLATES.encode("Z18sk6897"))
    assert len(lexicon.automaton.keys) == 11  # of three plates that end alike: 3 + 8
    assert (lexicon.weight, lexicon.rescue) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["# all", "A18sk6897", "A18xk6897"], r"^cars.txt, line 3: 'A18xk6897' has 'x' at position 3, expected the sy"),
        (["# none", "", "  "], "^cars.txt has no label: add one, or read without it"),
        ([], "^cars.txt has no label"),
    ],
)
def test_lists_that_are_none_are_refused(lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Lexicon.parse(lines, PLATES, "cars.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 0.0}, "weight is 0.0, expected a number above 0"),
        ({"weight": math.nan}, "weight is nan"),
        ({"rescue": -0.1}, "rescue is -0.1, expected 0"),
        ({"rescue": 1.1}, "rescue is 1.1"),
    ],
)
def test_bad_weights_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Lexicon.of([(0,)], ABC, **options)
    with pytest.raises(InputError, match="lexicon has an empty label"):
        Lexicon.of([(), (0,)], ABC)


def test_classes_without_a_symbol_are_in_no_label() -> None:
    alphabet = Alphabet(("a", "b"), blank=1, unused=(3,))
    assert Lexicon.of([(0, 2)], alphabet).accepts([0, 2])
    for index in (1, 3, 4):
        with pytest.raises(InputError, match=f"lexicon has class {index}, which is no symbol of ab: remove it"):
            Lexicon.of([(0, 2), (0, index)], alphabet)


def test_labels_that_are_too_long_are_never_read_and_a_list_of_them_is_refused() -> None:
    rows = np.full((2, 3, 4), 0.25)
    lexicon = Lexicon.of([(0, 0, 0), (0, 2, 3), (2, 2)], ABC)
    assert lexicon.longest == (0, 0, 0)
    readings = ctc.beam(rows, 1, lexicon=lexicon, n_best=9)
    assert [{reading.indices for reading in image} for image in readings] == [{(0, 2, 3), (2, 2)}] * 2
    only = Lexicon.of([(0, 0, 0)], ABC)
    with pytest.raises(InputError, match="needs 5 time steps for its shortest label, image 0 has 3"):
        ctc.beam(rows, 1, lexicon=only)
    with pytest.raises(InputError, match="is for 4 classes with blank 1, found 4 with blank 0"):
        ctc.beam(rows, 0, lexicon=lexicon)


@pytest.mark.thorough
def test_a_hundred_thousand_plates_take_a_few_megabytes() -> None:
    entries = [PLATES.encode(label_at(1, index, KINDS[index % len(KINDS)])) for index in range(100_000)]
    automaton = Lexicon.of(entries, PLATES).automaton
    assert sum(array.nbytes for array in (automaton.keys, automaton.targets, automaton.least, automaton.clashes)) < 5e6
    state = np.zeros(len(entries), np.int64)
    for column in np.array(entries).T:
        assert (automaton.needs_after(state, column) < FAR).all()
        state = automaton.follow(state, column)
    assert (automaton.needs(state, -1) == 0).all()
    # As many labels as entries: counted from the ends, whose states have the highest numbers.
    ways = (automaton.least == 0).astype(np.int64)
    for edge in range(len(automaton.keys))[::-1]:
        ways[automaton.keys[edge] // PLATES.classes] += ways[automaton.targets[edge]]
    assert ways[0] == len(set(entries))


def test_many_classes_take_no_more() -> None:
    hangul = Alphabet(tuple(map(chr, range(0xAC00, 0xAC00 + 11_172))), blank=0)
    rng = np.random.default_rng(0)
    entries = [tuple(row) for row in rng.integers(1, 11_173, (2_000, 6)).tolist()]
    automaton = Lexicon.of(entries, hangul).automaton
    assert len(automaton.keys) <= 6 * len(entries)
    assert Lexicon.of(entries, hangul).accepts(entries[7])
