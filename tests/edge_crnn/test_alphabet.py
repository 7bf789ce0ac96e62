from __future__ import annotations

import copy
import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.alphabet import KOREAN_PLATES, PLATES, PLATES_2019, Alphabet
from edge_crnn.errors import AlphabetError

SYLLABLES = [key for key in KOREAN_PLATES if len(key) == 2]

digits = st.text("0123456789", min_size=1, max_size=4)
plate_labels = st.builds(
    "".join,
    st.tuples(
        st.sampled_from("ABCDEFGHIJKLMNOPZ"),
        st.from_regex(r"[0-9]{2,3}", fullmatch=True),
        st.sampled_from(SYLLABLES),
        st.from_regex(r"[0-9]{4}", fullmatch=True),
    ),
)


@st.composite
def alphabets(draw: st.DrawFn) -> Alphabet:
    """Draw an alphabet in which no symbol is a prefix of another, so that a label can be split in only one way."""
    symbols = draw(
        st.lists(
            st.sampled_from(["x", "y", "가", "é", " ", "ab", "cde", "ㄱㅏ", ".", "*", "\\", "["]),
            min_size=1,
            unique=True,
        )
    )
    unused = draw(st.integers(0, 3))
    blank, *others = draw(st.permutations(range(len(symbols) + 1 + unused)))
    return Alphabet(tuple(symbols), blank, unused=tuple(others[:unused]))


def test_class_indices_leave_out_the_blank_wherever_it_stands() -> None:
    assert Alphabet(("a", "b", "c"), blank=0).spell([1, 2, 3]) == "abc"
    assert Alphabet(("a", "b", "c"), blank=2).spell([0, 1, 3]) == "abc"
    assert Alphabet(("a", "b", "c"), blank=3).spell([0, 1, 2]) == "abc"
    assert Alphabet(("a", "b", "c"), blank=2).encode("cab") == (3, 0, 1)
    assert Alphabet(("a", "b", "c"), blank=2).classes == 4


@given(st.data())
def test_encode_inverts_spell(data: st.DataObject) -> None:
    alphabet = data.draw(alphabets())
    others = {alphabet.blank, *alphabet.unused}
    assert alphabet.indices == tuple(index for index in range(alphabet.classes) if index not in others)
    indices = data.draw(st.lists(st.sampled_from(alphabet.indices)))
    assert alphabet.encode(alphabet.spell(indices)) == tuple(indices)


@given(st.data())
def test_without_a_label_map_text_and_label_are_the_same(data: st.DataObject) -> None:
    alphabet = data.draw(alphabets())
    label = "".join(data.draw(st.lists(st.sampled_from(alphabet.symbols))))
    assert alphabet.read(label) == label
    assert alphabet.label(label) == label
    assert alphabet.label(unicodedata.normalize("NFD", label)) == label


def test_encode_takes_the_longest_symbol() -> None:
    assert Alphabet(("s", "k", "sk"), blank=0).encode("skks") == (3, 2, 1)


def test_symbols_are_held_in_nfc() -> None:
    alphabet = Alphabet((unicodedata.normalize("NFD", "나"), "é"), blank=2)
    assert alphabet.symbols == ("나", "\u00e9")
    assert alphabet.encode("나é") == (0, 1)
    assert alphabet.label("e\u0301" + unicodedata.normalize("NFD", "나")) == "é나"


@pytest.mark.parametrize("index", [3, -1, 1])
def test_spell_refuses_an_index_without_symbol(index: int) -> None:
    with pytest.raises(AlphabetError, match=f"class {index} has no symbol"):
        Alphabet(("a", "b"), blank=1).spell([0, index])


def test_an_unknown_symbol_is_named_with_its_place_and_the_alphabet() -> None:
    with pytest.raises(AlphabetError, match=r"'12b4' has 'b' at position 2, expected the symbols 01234"):
        Alphabet(tuple("01234"), blank=5).encode("12b4")
    with pytest.raises(AlphabetError, match="'18 히 6897' has '히' at position 3"):
        PLATES.label("18 히 6897")


def test_the_plate_map_reads_every_region_and_syllable() -> None:
    assert "".join(KOREAN_PLATES[letter] for letter in "ABCDEFGHIJKLMNOP") == (
        "서울 경기 인천 강원 충남 대전 충북 부산 울산 대구 경북 경남 전남 광주 전북 제주 "
    )
    assert KOREAN_PLATES["Z"] == ""
    assert "".join(KOREAN_PLATES[keys].strip() for keys in SYLLABLES) == (
        "가거고구나너노누다더도두라러로루마머모무바버보부사서소수아어오우자저조주허호하"
    )
    assert all(KOREAN_PLATES[keys] == f" {KOREAN_PLATES[keys].strip()} " for keys in SYLLABLES)
    assert len(KOREAN_PLATES) == 16 + 1 + 39


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("A18sk6897", "서울 18 나 6897"),
        ("Z18sk6897", "18 나 6897"),
        ("Z118gj6897", "118 허 6897"),
        ("Z152gk3108", "152 하 3108"),
        ("Z12gh3456", "12 호 3456"),
        ("H12qn3456", "부산 12 부 3456"),
        ("Z18", "18"),
        ("", ""),
    ],
)
def test_plates_are_read_and_written(label: str, text: str) -> None:
    assert PLATES.read(label) == text
    assert PLATES.label(text) == label


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("152rk3108", "152 가 3108"),
        ("001gk0001", "001 하 0001"),
        ("999gh1234", "999 호 1234"),
        ("100qo7777", "100 배 7777"),
    ],
)
def test_plates_of_2019_are_read_and_written(label: str, text: str) -> None:
    assert PLATES_2019.read(label) == text
    assert PLATES_2019.label(text) == PLATES_2019.label(unicodedata.normalize("NFD", text)) == label
    assert PLATES_2019.spell(PLATES_2019.encode(label)) == label


def test_both_plate_alphabets_end_with_the_blank() -> None:
    assert (PLATES.classes, PLATES.blank, PLATES.label_map) == (42, 41, KOREAN_PLATES)
    assert (PLATES_2019.classes, PLATES_2019.blank) == (26, 25)


def test_what_is_not_in_the_label_map_is_read_as_it_is() -> None:
    assert PLATES.read("12gg3") == "12gg3"
    assert PLATES.read("s1k") == "s1k"


@pytest.mark.parametrize(
    "text",
    ["18 나 6897", "18나6897", "18나 6897", " 1 8\t나\u30006897\n", "Z18sk6897", "18sk6897", "Z 18나6897"],
)
def test_the_ways_in_which_a_plate_is_written(text: str) -> None:
    assert PLATES.label(text) == "Z18sk6897"
    assert PLATES.label(unicodedata.normalize("NFD", text)) == "Z18sk6897"


@pytest.mark.parametrize(
    ("text", "label"), [("12 하 3456", "Z12gk3456"), ("152가3108", "Z152rk3108"), ("152호 3108", "Z152gh3108")]
)
def test_plates_for_hire_and_with_three_digits_are_written_by_people(text: str, label: str) -> None:
    assert PLATES.label(text) == PLATES.label(unicodedata.normalize("NFD", text)) == label
    with pytest.raises(AlphabetError, match="'배'"):
        PLATES.label("서울 12 배 3456")


@given(plate_labels, st.sampled_from(["NFC", "NFD"]), st.booleans())
def test_every_plate_label_comes_back_from_its_text(label: str, form: str, spaced: bool) -> None:
    text = PLATES.read(label)
    if not spaced:
        text = text.replace(" ", "")
    assert PLATES.label(unicodedata.normalize(form, text)) == label
    assert PLATES.label(label) == label
    assert PLATES.spell(PLATES.encode(label)) == label


def test_the_known_limits_of_the_silent_key() -> None:
    assert PLATES.label(PLATES.read("1Z2")) == "Z12"
    assert PLATES.label(PLATES.read("Zsk1")) == "sk1"
    assert PLATES.label(PLATES.read("Z")) == ""


def test_the_longest_key_and_the_longest_text_win() -> None:
    alphabet = Alphabet(tuple("abc"), blank=0, label_map={"a": "1", "ab": "12", "b": "3"})
    assert alphabet.read("aabbc") == "1123c"
    assert alphabet.label("1123c") == "aabbc"


def test_a_key_is_not_found_across_symbols() -> None:
    alphabet = Alphabet(("as", "s", "k"), blank=0, label_map={"sk": "나"})
    assert alphabet.read("askask") == "askask"
    assert alphabet.read("ssk") == "s나"


def test_white_space_that_is_a_symbol_is_kept() -> None:
    alphabet = Alphabet(("a", " ", "x"), blank=0, label_map={"x": "New York"})
    assert alphabet.read("a x a") == "a New York a"
    assert alphabet.label("a New York a") == "a x a"
    assert alphabet.label("a NewYork\ta") == "a xa"


def test_white_space_that_is_no_symbol_counts_for_nothing_only_with_a_label_map() -> None:
    assert Alphabet(tuple("0123456789x"), blank=11, label_map={"x": "X"}).label(" 1 23\n") == "123"
    with pytest.raises(AlphabetError, match="'1234 2' has ' ' at position 4"):
        Alphabet(tuple("0123456789"), blank=10).label("1234 2")


def test_sift_tells_the_places_of_what_is_unknown() -> None:
    alphabet = Alphabet(("a", "bc", "é"), blank=0)
    assert alphabet.sift("a-bcb e\u0301") == ("abcé", (1, 4, 5))
    assert alphabet.sift("") == ("", ())
    assert PLATES.sift("서울-18나 6897") == ("A18sk6897", (2,))


def test_symbols_take_the_classes_that_are_left() -> None:
    alphabet = Alphabet(("a", "b", "c"), blank=5, unused=(3, 0))
    assert (alphabet.classes, alphabet.indices, alphabet.unused) == (6, (1, 2, 4), (0, 3))
    assert alphabet.spell([1, 2, 4]) == "abc"
    assert alphabet.encode("cab") == (4, 1, 2)
    assert alphabet.spell([0, 1, 3]) == alphabet.read("\ufffda\ufffd") == "\ufffda\ufffd"
    assert alphabet.encode_reading("\ufffda\ufffd\ufffdcb") == (0, 1, 0, 0, 4, 2)
    with pytest.raises(AlphabetError, match="has 'x' at position 1"):
        alphabet.encode_reading("a\ufffdax")
    for way in (alphabet.encode, alphabet.label, Alphabet(("a",), 1).encode_reading):
        with pytest.raises(AlphabetError, match="has '\ufffd' at position 1"):
            way("a\ufffd")
    with pytest.raises(AlphabetError, match="class 5 has no symbol"):
        alphabet.spell([5])


@pytest.mark.parametrize(
    ("symbols", "blank", "label_map", "message"),
    [
        ((), 0, {}, "empty, expected at least one"),
        (("a", ""), 0, {}, "symbol 1 of the alphabet is empty"),
        (("a", "b", "a"), 0, {}, "'a' twice"),
        (("é", "e\u0301"), 0, {}, "'é' twice"),
        (("a", "b"), 3, {}, "blank is 3, expected 0"),
        (("a", "b"), -1, {}, "blank is -1, expected 0"),
        (("a", "b"), 2, {"c": "C"}, "the key 'c', expected symbols of the alphabet ab"),
        (("a", "b"), 2, {"": "C"}, "the key ''"),
        (("a", "b"), 2, {"a": "X", "b": " X "}, "two keys of the label map have the text 'X'"),
        (("a", "b"), 2, {"a": "", "b": " "}, "two keys of the label map have the text ''"),
        (("a", "\ud800"), 2, {}, r"'\\ud800' has half of a character, U\+D800"),
        (("a", "b"), 2, {"a": "x\udfff"}, r"'x\\udfff' has half of a character, U\+DFFF"),
    ],
)
def test_an_alphabet_that_makes_no_sense_is_refused(
    symbols: tuple[str, ...], blank: int, label_map: dict[str, str], message: str
) -> None:
    with pytest.raises(AlphabetError, match=message):
        Alphabet(symbols, blank, label_map)


@pytest.mark.parametrize(
    ("blank", "unused", "message"),
    [
        (0, (3,), r"unused classes are \(3,\), expected 0 to 2"),
        (0, (-1,), r"unused classes are \(-1,\)"),
        (0, (0,), "class 0 is the blank and unused"),
        (0, (1, 1), "class 1 is unused twice"),
        (4, (1,), "blank is 4, expected 0"),
    ],
)
def test_unused_classes_that_make_no_sense_are_refused(blank: int, unused: tuple[int, ...], message: str) -> None:
    with pytest.raises(AlphabetError, match=message):
        Alphabet(("a",), blank, unused=unused)


def test_no_symbol_reads_as_an_unused_class_does() -> None:
    assert Alphabet(("a", "\ufffd"), 2).spell([1]) == "\ufffd"
    with pytest.raises(AlphabetError, match="the symbol '\ufffd' stands for unused classes"):
        Alphabet(("a", "\ufffd"), 2, unused=(3,))


def test_it_is_a_value() -> None:
    labels = {"a": "A"}
    alphabet = Alphabet(("a",), 1, labels)
    labels["a"] = "changed"
    assert alphabet.read("a") == "A"
    assert (
        alphabet == Alphabet(("a",), 1, {"a": "A"}) == copy.deepcopy(alphabet) == pickle.loads(pickle.dumps(alphabet))
    )
    assert hash(alphabet) == hash(Alphabet(("a",), 1, {"a": "A"}))
    assert alphabet != Alphabet(("a",), 0, {"a": "A"})


@pytest.mark.parametrize(
    "control", ["\0", "\t", "\n", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066"]
)
def test_control_characters_are_rejected(control: str) -> None:
    with pytest.raises(AlphabetError, match=f"U\\+{ord(control):04X}"):
        Alphabet(("a", f"b{control}"), blank=2)
    with pytest.raises(AlphabetError, match=f"U\\+{ord(control):04X}"):
        Alphabet(("a", "b"), blank=2, label_map={"a": f"x{control}y"})


@pytest.mark.parametrize("symbol", [" ", "\xa0", "\u200c", "\u200d", "\u200e", "\u3000", "\xad", "é", "나"])
def test_spaces_joiners_and_letters_are_symbols(symbol: str) -> None:
    assert Alphabet(("a", symbol), blank=2).symbols == ("a", symbol)
