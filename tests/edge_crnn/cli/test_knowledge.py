from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.alphabet import PLATES
from edge_crnn.cli.knowledge import add_knowledge_arguments, grammar_of, lexicon_of, prior_of
from edge_crnn.cli.main import main
from edge_crnn.ctc import Prior
from edge_crnn.errors import InputError


def parsed(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_knowledge_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def cars(tmp_path: Path) -> Path:
    path = tmp_path / "cars.txt"
    path.write_text("\ufeff# who lives here\n서울 18 나 6897\r\nB18sk6897\n\n", encoding="utf-8")
    return path


def test_a_list_of_known_texts(cars: Path) -> None:
    lexicon = lexicon_of(parsed("--lexicon", cars), PLATES)
    assert lexicon is not None
    assert lexicon.accepts(PLATES.encode("A18sk6897"))
    assert (lexicon.weight, lexicon.rescue) == (math.inf, 0.0)
    lexicon = lexicon_of(parsed("--lexicon", cars, "--lexicon-weight", 20, "--rescue", 0.1), PLATES)
    assert lexicon is not None
    assert (lexicon.weight, lexicon.rescue) == (20.0, 0.1)
    assert lexicon_of(parsed(), PLATES) is None


def test_prior_from_texts_or_from_a_fitted_file(cars: Path, tmp_path: Path) -> None:
    fitted = Prior.fit([PLATES.encode(label) for label in ("A18sk6897", "B18sk6897")], PLATES)
    (tmp_path / "prior.json").write_text(fitted.to_json(), encoding="utf-8")
    for words in (("--prior", cars), ("--prior", tmp_path / "prior.json")):
        prior = prior_of(parsed(*words), PLATES)
        assert prior is not None
        assert (prior.counts, prior.weight) == (fitted.counts, 1.0)
        prior = prior_of(parsed(*words, "--prior-weight", 0.3), PLATES)
        assert prior is not None
        assert prior.weight == 0.3
    assert prior_of(parsed(), PLATES) is None


def test_a_grammar_is_itself_a_name_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert grammar_of(None) is None
    assert grammar_of("[0-9]{4}") == "[0-9]{4}"
    assert grammar_of("(" * 5000) == "(" * 5000
    assert grammar_of("a\0b") == "a\0b"
    Path("form.txt").write_text("\ufeff[A-P][0-9]{2}\n", encoding="utf-8")
    assert grammar_of("form.txt") == "[A-P][0-9]{2}"
    Path("digits").write_text("[a-z]", encoding="utf-8")
    assert grammar_of("digits") == "digits"
    Path("empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"empty\.txt: is empty, expected a regular expression"):
        grammar_of("empty.txt")


def test_unusable_file_is_one_error(cars: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"A18sk6897\n\xbc\xad")
    (tmp_path / "none.txt").write_text("# nothing\n", encoding="utf-8")
    (tmp_path / "wrong.txt").write_text("A18sk6897\nA18sk68x7\n", encoding="utf-8")
    for option, of in (("--lexicon", lexicon_of), ("--prior", prior_of)):
        with pytest.raises(InputError, match=r"absent\.txt: cannot be read \(No such file or directory\)"):
            of(parsed(option, tmp_path / "absent.txt"), PLATES)
        with pytest.raises(InputError, match=r"latin\.txt: is not UTF-8 at byte 10; save it as UTF-8"):
            of(parsed(option, tmp_path / "latin.txt"), PLATES)
        with pytest.raises(InputError, match=r"none\.txt has no"):
            of(parsed(option, tmp_path / "none.txt"), PLATES)
        with pytest.raises(InputError, match=r"wrong\.txt, line 2: 'A18sk68x7' has 'x' at position 7"):
            of(parsed(option, tmp_path / "wrong.txt"), PLATES)


def test_an_option_without_its_file_is_refused() -> None:
    for words in (("--lexicon-weight", 2), ("--rescue", 0.0)):
        with pytest.raises(InputError, match="add --lexicon FILE"):
            lexicon_of(parsed(*words), PLATES)
    with pytest.raises(InputError, match="add --prior FILE"):
        prior_of(parsed("--prior-weight", 2), PLATES)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--lexicon-weight", 0),
        ("--lexicon-weight", "inf"),
        ("--rescue", 1.1),
        ("--rescue", "x"),
        ("--prior-weight", -1),
    ],
)
def test_weights_out_of_range_are_refused(option: str, value: object) -> None:
    with pytest.raises(argparse.ArgumentError):
        parsed(option, value)


def test_read_accepts_lexicon_prior_and_grammar(
    tiny_artifact: Path, tiny_pictures: list[np.ndarray], tiny_labels: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    image = tmp_path / "image.png"
    texts = tmp_path / "known.txt"
    form = tmp_path / "form.txt"
    cv2.imwrite(str(image), tiny_pictures[0])
    read = ["read", "--model", str(tiny_artifact), str(image)]
    label = tiny_labels[0]

    texts.write_text(f"# known\n{label}\n", encoding="utf-8")
    assert main([*read, "--format", "jsonl", "--lexicon", str(texts), "--prior", str(texts)]) == 0
    reading = json.loads(capsys.readouterr().out)
    assert (reading["label"], reading["rescued"]) == (label, False)
    assert 0 < reading["weighted"] <= 1

    other = ("1" if label[0] == "0" else "0") + label[1:]
    texts.write_text(other, encoding="utf-8")
    assert main([*read, "--lexicon", str(texts), "--lexicon-weight", "1e300", "--rescue", "1"]) == 0
    path, text, _, mark = capsys.readouterr().out.split("\t")
    assert (path, text, mark.strip()) == (str(image), other, "rescued")

    form.write_text("[0-9]{2}\n", encoding="utf-8")
    assert main([*read, "--grammar", str(form)]) == 0
    assert len(capsys.readouterr().out.split("\t")[1]) == 2

    texts.write_text("12\nx\n", encoding="utf-8")
    assert main([*read, "--lexicon", str(texts)]) == 1
    errors = capsys.readouterr().err
    assert "known.txt, line 2: 'x' has 'x' at position 0" in errors
    assert len(errors.splitlines()) == 1
