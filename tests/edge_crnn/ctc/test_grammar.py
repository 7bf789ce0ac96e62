from __future__ import annotations

import re
from itertools import chain, groupby, pairwise, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_crnn import ctc
from edge_crnn.alphabet import PLATES, PLATES_2019, Alphabet
from edge_crnn.ctc import GRAMMARS, Grammar
from edge_crnn.errors import InputError
from edge_crnn.training.layouts import LAYOUTS, label_at
from tests.edge_crnn.ctc.counting import count_labels

Floats = npt.NDArray[np.float64]
ALPHABETS = (Alphabet(("a", "b"), blank=2), Alphabet(("b", "ab", "a"), blank=1), Alphabet(("a", "bb", "b"), blank=0))


def joined(parts: list[str]) -> str:
    return "".join(parts)


regexes = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[^b]", ""]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(joined),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: f"({'|'.join(options)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{,2}", "{2,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)
alphabets = st.sampled_from(ALPHABETS)


def compiled(regex: str, alphabet: Alphabet) -> Grammar:
    """Compile a grammar; skip the example if the alphabet cannot spell a label of it."""
    try:
        return Grammar.compile(regex, alphabet)
    except InputError:
        assume(any(re.fullmatch(regex, alphabet.spell(sequence)) for sequence in sequences(alphabet, 5)))
        raise


def sequences(alphabet: Alphabet, longest: int) -> list[tuple[int, ...]]:
    symbols = [index for index in range(alphabet.classes) if index != alphabet.blank]
    return list(chain.from_iterable(product(symbols, repeat=length) for length in range(longest + 1)))


def needed(indices: tuple[int, ...]) -> int:
    """Return the time steps that a sequence needs: one per label, and a blank between repeats."""
    return len(indices) + sum(a == b for a, b in pairwise(indices))


@given(regexes, alphabets)
def test_a_sequence_belongs_if_its_label_matches_the_expression(regex: str, alphabet: Alphabet) -> None:
    every = sequences(alphabet, 5)
    belong = [sequence for sequence in every if re.fullmatch(regex, alphabet.spell(sequence))]
    if not belong:
        return
    grammar = Grammar.compile(regex, alphabet)
    assert [sequence for sequence in every if grammar.accepts(sequence)] == belong
    if (shortest := min(map(needed, belong))) <= 5:
        assert grammar.shortest == shortest


@given(regexes, alphabets)
def test_the_fewest_steps_to_complete_a_label(regex: str, alphabet: Alphabet) -> None:
    grammar = compiled(regex, alphabet)
    longest = 5
    belong = {sequence for sequence in sequences(alphabet, longest) if grammar.accepts(sequence)}
    for prefix in sequences(alphabet, 2):
        state = 0
        for index in prefix:
            state = grammar.transitions[state, index]
        rests = [sequence[len(prefix) :] for sequence in belong if sequence[: len(prefix)] == prefix]
        after_blank = min(map(needed, rests), default=99)
        assert grammar.steps[state, -1] == after_blank or after_blank > longest - len(prefix)
        if prefix:
            label = prefix[-1]
            after_label = min((needed((label, *rest)) - 1 for rest in rests), default=99)
            assert grammar.steps[state, label] == after_label or after_label > longest - len(prefix)


@st.composite
def images(draw: st.DrawFn, alphabet: Alphabet, lowest: int = 0) -> Floats:
    """Probabilities (N, T, C), small enough to enumerate all alignments."""
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 5)), alphabet.classes
    weights = draw(st.lists(st.integers(lowest, 9), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    rows = np.array(weights, np.float64).reshape(shape)
    rows[rows.sum(axis=-1) == 0] = 1.0
    return rows / rows.sum(axis=-1, keepdims=True)


@given(regexes, alphabets, st.data())
def test_a_wide_beam_finds_exactly_the_labels_of_the_grammar(
    regex: str, alphabet: Alphabet, data: st.DataObject
) -> None:
    grammar = compiled(regex, alphabet)
    rows = data.draw(images(alphabet))
    assume(rows.shape[1] >= grammar.shortest)
    readings = ctc.beam(rows, alphabet.blank, width=300, n_best=300, min_ratio=0, top_k=None, grammar=grammar)
    for image, results in zip(rows, readings, strict=True):
        expected: dict[tuple[int, ...], float] = {}
        for path in product(range(alphabet.classes), repeat=len(image)):
            sequence = tuple(index for index, _ in groupby(path) if index != alphabet.blank)
            chance = float(np.prod([row[index] for row, index in zip(image, path, strict=True)]))
            if chance > 0 and re.fullmatch(regex, alphabet.spell(sequence)):
                expected[sequence] = expected.get(sequence, 0.0) + chance
        assert {reading.indices: reading.confidence for reading in results} == pytest.approx(expected, rel=1e-12)


@given(regexes, alphabets, st.integers(1, 4), st.data())
def test_any_beam_ends_with_labels_of_the_grammar(
    regex: str, alphabet: Alphabet, width: int, data: st.DataObject
) -> None:
    grammar = compiled(regex, alphabet)
    rows = data.draw(images(alphabet, lowest=1))
    assume(rows.shape[1] >= grammar.shortest)
    for results in ctc.beam(rows, alphabet.blank, width=width, n_best=width, grammar=grammar):
        assert results  # no dead end, however narrow the beam: everything here has some probability
        assert all(re.fullmatch(regex, alphabet.spell(reading.indices)) for reading in results)


@given(regexes, alphabets, st.integers(1, 4), st.data())
def test_a_batch_decodes_as_its_singles(regex: str, alphabet: Alphabet, width: int, data: st.DataObject) -> None:
    grammar = compiled(regex, alphabet)
    rows = data.draw(images(alphabet))
    count, steps, _ = rows.shape
    assume(steps >= grammar.shortest)
    lengths = data.draw(st.lists(st.integers(max(grammar.shortest, 1), steps), min_size=count, max_size=count))
    options = {"width": width, "n_best": width, "grammar": grammar}
    singles = [
        ctc.beam(image[np.newaxis, :length], alphabet.blank, **options)[0]
        for image, length in zip(rows, lengths, strict=True)
    ]
    assert ctc.beam(rows, alphabet.blank, lengths=lengths, **options) == singles


def test_a_text_is_found_that_a_free_beam_loses() -> None:
    alphabet = Alphabet(tuple("0123456789AB"), blank=12)
    rows = np.full((1, 9, 13), 0.01 / 11)
    for step, (likely, also) in enumerate(
        [(10, 1), (12, 0), (2, 0), (12, 0), (11, 8), (12, 3), (4, 0), (12, 0), (5, 0)]
    ):
        rows[0, step, likely], rows[0, step, also] = 0.7, 0.29
    digits = Grammar.compile("digits", alphabet)
    assert alphabet.spell(ctc.greedy(rows, 12)[0].indices) == "A2B45"
    ((reading,),) = ctc.beam(rows, 12, grammar=digits)
    assert alphabet.spell(reading.indices) == "12845"
    assert reading.confidence == ctc.posterior(rows, [reading.indices], 12)[0]
    assert ctc.search(rows, 12, grammar=digits)[0][0].indices == reading.indices


def test_pruned_symbols_are_tried_if_no_other_label_fits() -> None:
    alphabet = Alphabet(("a", "b"), blank=2)
    rows = np.array([[[0.0, 0.0, 1.0]] * 3, [[0.5, 1e-9, 0.5 - 1e-9]] * 3, [[0.5, 0.0, 0.5]] * 3])
    readings = ctc.beam(rows, 2, grammar=Grammar.compile("b", alphabet))
    assert [[reading.indices for reading in results] for results in readings] == [[], [(1,)], []]
    assert readings[1][0].confidence == pytest.approx(3e-9 * 0.25, rel=1e-6)
    assert ctc.search(rows, 2, grammar=Grammar.compile("b", alphabet))[::2] == [[], []]


def test_a_wrong_alphabet_or_too_few_steps_are_refused() -> None:
    grammar = Grammar.compile("a{3}", Alphabet(("a", "b"), blank=2))
    assert grammar.shortest == 5
    rows = np.full((2, 5, 3), 1 / 3)
    assert [readings[0].indices for readings in ctc.beam(rows, 2, grammar=grammar)] == [(0, 0, 0)] * 2
    with pytest.raises(InputError, match=r"'a\{3\}' needs 5 time steps for its shortest label, image 0 has 4"):
        ctc.beam(rows, 2, 1, grammar=grammar)
    with pytest.raises(InputError, match="image 1 has 3"):
        ctc.search(rows, 2, lengths=[5, 3], grammar=grammar)
    with pytest.raises(InputError, match="is for 3 classes with blank 2, found 3 with blank 0"):
        ctc.beam(rows, 0, grammar=grammar)
    with pytest.raises(InputError, match="found 4 with blank 2"):
        ctc.beam(np.full((1, 5, 4), 0.25), 2, grammar=grammar)
    assert ctc.beam(np.zeros((0, 2, 3)), 2, grammar=grammar) == []


def test_languages_without_labels_and_huge_ones_are_refused() -> None:
    with pytest.raises(InputError, match="grammar 'a' has no label that the symbols ab b can spell"):
        Grammar.compile("a", Alphabet(("ab", "b"), blank=2))
    with pytest.raises(InputError, match=r"'containers' has '\[A-Z\]', which no symbol of 01 has: remove it"):
        Grammar.compile("containers", Alphabet(("0", "1"), blank=2))
    with pytest.raises(InputError, match=r"^grammar .* needs an automaton of more than 2000 states: simplify it"):
        Grammar.compile("(a|b)*a(a|b){20}", Alphabet(("a", "b"), blank=2))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["[ab]*", ".*", "[^a]*", "a+b?"]))
def test_a_class_that_no_text_has_is_never_read_with_a_grammar(seed: int, regex: str) -> None:
    alphabet = Alphabet(("a", "b"), blank=1, unused=(0, 3))
    grammar = Grammar.compile(regex, alphabet)
    expected = Grammar.compile(regex, Alphabet(("a", "b"), blank=0))
    assert grammar.used[[2, 4]].tolist() == expected.used[[1, 2]].tolist()
    assert not grammar.used[[0, 1, 3]].any()
    assert not any(grammar.accepts(label) for label in ([0], [2, 3], [3, 4]))
    for label in product((2, 4), repeat=3):
        assert grammar.accepts(label) == expected.accepts([index // 2 for index in label])
    rows = np.random.default_rng(seed).dirichlet([5, 1, 1, 5, 1], (2, 4))
    for readings in ctc.beam(rows, 1, grammar=grammar, n_best=10, width=50, min_ratio=0):
        assert readings
        assert all(set(reading.indices) <= {2, 4} and grammar.accepts(reading.indices) for reading in readings)


def test_without_a_grammar_a_class_that_no_text_has_is_seen() -> None:
    rows = np.tile([0.7, 0.1, 0.1, 0.1], (1, 3, 1))
    alphabet = Alphabet(("a", "b"), blank=1, unused=(0,))
    assert alphabet.spell(ctc.greedy(rows, 1)[0].indices) == "\ufffd"
    assert alphabet.spell(ctc.beam(rows, 1)[0][0].indices) == "\ufffd"


def test_many_symbols_are_no_matter() -> None:
    hangul = tuple(map(chr, range(0xAC00, 0xAC00 + 2000)))
    grammar = Grammar.compile(r"\d{2}[가-힣]\d{4}", Alphabet((*hangul, *"0123456789"), blank=0))
    assert grammar.shortest == 7
    assert grammar.used.sum() == 2010


def test_korean_plates_of_2019_are_those_that_are_drawn() -> None:
    grammar = Grammar.compile("korean-plates-2019", PLATES_2019)
    kind = "long-white-2019"
    assert count_labels(grammar) == LAYOUTS[kind].labels.size
    labels = [label_at(1, index, kind) for index in range(200)]
    assert all(grammar.accepts(PLATES_2019.encode(label)) for label in labels)


CAPITALS = Alphabet(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<"), blank=37)


def container_digit(owner: str) -> int:
    """ISO 6346, annex A: the check digit of the first ten characters."""
    values = {}
    value = 10
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        value += value % 11 == 0
        values[letter] = value
        value += 1
    total = sum((values.get(c) or int(c)) * 2**place for place, c in enumerate(owner))
    return total % 11 % 10


def test_containers_have_the_check_digit_of_iso_6346() -> None:
    grammar = Grammar.compile("containers", CAPITALS)
    for label in ("CSQU3054383", "TEXU3070079", "HLXU2008419"):
        assert grammar.accepts(CAPITALS.encode(label))
        for digit in "0123456789":
            assert grammar.accepts(CAPITALS.encode(label[:-1] + digit)) == (digit == label[-1])
    rng = np.random.default_rng(0)
    digits = set()
    for _ in range(200):
        owner = "".join(rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 3)) + "U"
        owner += "".join(rng.choice(list("0123456789"), 6))
        right = container_digit(owner)
        digits.add(right)
        assert [digit for digit in range(10) if grammar.accepts(CAPITALS.encode(f"{owner}{digit}"))] == [right]
    assert len(digits) == 10
    assert not any(grammar.accepts(CAPITALS.encode(label)) for label in ("CSQA3054383", "CSQU305438", "CSQU30543830"))
    assert count_labels(grammar) == 26**3 * 3 * 10**6


def test_a_container_is_read_by_its_check_digit() -> None:
    label = CAPITALS.encode("CSQU3054383")
    confused = CAPITALS.encode("GSQU3054382")
    rows = np.full((1, 22, 38), 1e-6)
    for place, (right, wrong) in enumerate(zip(label, confused, strict=True)):
        rows[0, 2 * place, [right, wrong]] += [0.45, 0.55]
        rows[0, 2 * place + 1, 37] += 1
    rows /= rows.sum(axis=-1, keepdims=True)
    assert ctc.greedy(rows, 37)[0].indices == confused
    readings = ctc.beam(rows, 37, width=20, n_best=3, grammar=Grammar.compile("containers", CAPITALS))[0]
    assert readings[0].indices == label


MRZ = """\
P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<
L898902C36UTO7408122F1204159ZE184226B<<<<<10
I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<
D231458907UTO7408122F1204159<<<<<<<6
I<UTOD231458907<<<<<<<<<<<<<<<
7408122F1204159UTO<<<<<<<<<<<6
ERIKSSON<<ANNA<MARIA<<<<<<<<<<
V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<
L8988901C4XXX4009078F96121096ZE184226B<<<<<<
V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<
L8988901C4XXX4009078F9612109<<<<<<<<
""".splitlines()
"""The specimens of ICAO Doc 9303, parts 4 to 7."""


@pytest.mark.parametrize("line", MRZ)
def test_lines_of_machine_readable_zones(line: str) -> None:
    grammar = Grammar.compile("mrz", CAPITALS)
    assert grammar.accepts(CAPITALS.encode(line))
    assert not grammar.accepts(CAPITALS.encode(line[:-1]))
    assert not grammar.accepts(CAPITALS.encode(line + "<"))


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_shipped_grammar_has_labels(name: str) -> None:
    alphabet = {"korean-plates": PLATES, "korean-plates-2019": PLATES_2019}.get(name, CAPITALS)
    assert Grammar.compile(name, alphabet).shortest < 100


def test_generic_ones() -> None:
    digits = Grammar.compile("digits", CAPITALS)
    latin = Grammar.compile("latin-plates", CAPITALS)
    assert [digits.accepts(CAPITALS.encode(label)) for label in ("", "0", "1234567", "12A")] == [0, 1, 1, 0]
    assert [latin.accepts(CAPITALS.encode(label)) for label in ("ABC", "ABC1", "AB12CD34EF", "AB12CD34EF5")] == [
        0,
        1,
        1,
        0,
    ]
