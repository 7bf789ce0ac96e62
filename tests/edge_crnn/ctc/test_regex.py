from __future__ import annotations

import pytest

from edge_crnn.alphabet import Alphabet
from edge_crnn.ctc import Grammar
from edge_crnn.errors import InputError

LETTERS = Alphabet(tuple("abcdefghijklmnopqrstuvwxyz0123456789{}[]()|?*+.^$\\-,나"), blank=0)


@pytest.mark.parametrize(
    ("regex", "message"),
    [
        ("a(?=b)", r"has a look-ahead at position 1: a group is \(…\) or"),
        ("(?!b)", "a look-ahead at position 0"),
        ("(?<=b)", "a look-behind"),
        ("(?<!b)", "a look-behind"),
        ("(?P<name>a)", "a named group"),
        ("(a)(?P=name)", "a back-reference"),
        (r"(a)\1", "a back-reference at position 3"),
        ("(?#note)", "a comment"),
        ("(a)?(?(1)b)", "a condition"),
        ("(?>a)", "an atomic group"),
        ("(?i)a", "a flag"),
        ("(?i:a)", "a flag"),
        ("a^b", "an anchor at position 1: remove it"),
        ("(a$)", "an anchor"),
        ("^^a", "an anchor at position 1"),
        ("a$$", "an anchor at position 1"),
        ("^*a", "a repeat of nothing"),
        ("a$*", "an anchor at position 1"),
        (r"\ba", "an anchor"),
        (r"a\Z", "an anchor"),
        (r"\w", "a class of Unicode at position 0: write the characters"),
        (r"[\s]", "a class of Unicode"),
        (r"\n", r"the escape \\n"),
        (r"\x41", r"the escape \\x"),
        ("\\", r"the escape \\ at"),
        ("a*?", "a lazy, possessive or repeated repeat at position 2"),
        ("a++", "a lazy, possessive or repeated repeat"),
        ("a{2}{3}", "a lazy, possessive or repeated repeat"),
        ("*a", r"a repeat of nothing at position 0: write \\\*"),
        ("(|+)", "a repeat of nothing"),
        ("{2}", r"a repeat of nothing at position 0: write \\{"),
        ("a{", "a { that is no repeat at position 1"),
        ("a{,}", "a { that is no repeat"),
        ("a{b}", "a { that is no repeat"),
        ("a{-1}", "a { that is no repeat"),
        ("a{3,2}", "a repeat whose most is less than its least"),
        ("a{1001}", "a repeat of more than 1000 times"),
        ("a{99999999999999999999}", "a repeat of more than 1000 times"),
        ("a{2,1001}", "a repeat of more than 1000 times"),
        ("(a", r"a group that is not closed at position 0: add the \)"),
        ("a)", r"a \) that closes no group at position 1"),
        ("[a", "a class that is not closed at position 0"),
        ("[a\\", r"the escape \\ at"),
        ("[]", "an empty class at position 0"),
        ("[^]", "an empty class"),
        ("[z-a]", "a range that ends before it begins at position 4: turn it around"),
        (r"[a-\d]", "a range that ends before it begins"),
        ("(" * 60 + "a" + ")" * 60, "more than 50 groups within groups"),
        ("(a{1000}){6}", "longer than 2000 characters"),
        ("((((a{999}){999}){999}){999}){999}", "longer than 2000"),
        ("a한", "has '한', which no symbol of"),
        ("[A-Z]", r"has '\[A-Z\]', which no symbol of"),
    ],
)
def test_unsupported_constructs_are_refused_by_name(regex: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Grammar.compile(regex, LETTERS)
    assert str(caught.value).startswith(f"grammar {regex!r} ")


@pytest.mark.parametrize(
    ("regex", "labels", "others"),
    [
        ("", [""], ["a"]),
        ("a|", ["a", ""], ["aa"]),
        ("^a|bc$", ["a", "bc"], ["abc", "^a"]),
        (r"^[a$]|\$$|$", ["a", "$", ""], ["a$"]),
        ("(?:ab|c)d", ["abd", "cd"], ["abcd", "ab"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}", ["aa", "aaaaaa"], ["a"]),
        ("a{,2}", ["", "a", "aa"], ["aaa"]),
        ("a{2,3}b?", ["aa", "aaab"], ["ab", "aabb"]),
        ("(ab)*", ["", "ab", "abab"], ["aba"]),
        ("(a?){3}", ["", "a", "aaa"], ["aaaa"]),
        ("(a*)*b", ["b", "aab"], ["a"]),
        ("(a?b?)+", ["", "abba"], ["c"]),
        ("[a-c0-9나-]", ["b", "7", "나", "-"], ["d"]),
        ("[-a]", ["-", "a"], ["b"]),
        (r"[\]\\\-^]", ["]", "\\", "-", "^"], ["a"]),
        ("[^a-y]", ["z", "나", "{"], ["a"]),
        (r"\d[\da]", ["0a", "99"], ["a9"]),
        (r"\{\}\[\]\(\)\|\?\*\+\.\^\$\\", ["{}[]()|?*+.^$\\"], [""]),
        ("a}]", ["a}]"], ["a"]),
        ("[.|(*]", [".", "|", "(", "*"], ["a"]),
        (".나", ["a나", "나나"], ["나"]),
    ],
)
def test_expressions_match_the_same_as_in_python(regex: str, labels: list[str], others: list[str]) -> None:
    grammar = Grammar.compile(regex, LETTERS)
    assert [label for label in labels + others if grammar.accepts(LETTERS.encode(label))] == labels


def test_expressions_are_read_in_the_form_that_symbols_are_held_in() -> None:
    apart = "나"  # 나 as two jamo, which a keyboard of some systems writes
    assert Grammar.compile(f"{apart}{{2}}", LETTERS).accepts(LETTERS.encode("나나"))
