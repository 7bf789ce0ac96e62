"""`edge-crnn convert --grammar`: the artifact says what it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_crnn.model.artifact import load, load_sidecar

Run = Callable[..., tuple[int, list[str], list[str]]]


def test_a_grammar_goes_into_the_artifact(run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> None:
    form, target = tmp_path / "form.txt", tmp_path / "x.tflite"
    form.write_text("[0-9]{2,}\n", encoding="utf-8")
    words = ["--recipe", "float32", "--gate-agreement", "90", "--gate-accuracy", "10", "--grammar"]
    status, _, err = run("convert", tiny_keras, "--labelled", labelled_folder, "-o", target, *words, form)
    assert (status, err) == (0, [])
    decoder = load(target).spec.decoder
    assert (decoder.method, decoder.grammar) == ("beam", "[0-9]{2,}")
    assert load_sidecar(tiny_keras).decoder.grammar is None


def test_bad_grammar_is_refused_before_the_work(
    run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    for grammar, reason in (
        ("[^x", "a class that is not closed"),
        ("x+", "which no symbol of"),
        ("0{99}", "time steps"),
    ):
        words = ["--labelled", labelled_folder, "-o", tmp_path / "x.tflite", "--recipe", "float32"]
        status, out, err = run("convert", tiny_keras, *words, "--grammar", grammar)
        assert (status, out, len(err)) == (1, [], 1)
        assert reason in err[0]
    assert not (tmp_path / "x.tflite").exists()
