from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_crnn.cli.main import main
from tests.converters.report.made import accuracy, bench

ROOT = Path(__file__).parents[3]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "accuracy.json").write_text(json.dumps(accuracy()), encoding="utf-8")
    (tmp_path / "bench.json").write_text(json.dumps(bench()), encoding="utf-8")
    return tmp_path


def run(*words: object) -> int:
    return main(["report", *map(str, words)])


def test_a_page_and_its_markdown_are_written(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, text = results / "report.html", results / "report.md"
    assert run(results / "accuracy.json", results / "bench.json", "-o", html, "--markdown", text) == 0
    headline = "Both conversions read what the trained model reads"
    first, second = capsys.readouterr().out.splitlines()
    assert f"{html}: {headline}" in first
    assert f"{text}: {headline}" in second
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert text.read_text(encoding="utf-8").startswith(f"# ✅ {headline}\n")


def test_notes_stand_below_the_verdict(results: Path) -> None:
    html, text = results / "report.html", results / "report.md"
    words = "--note", "seen at <gate 2>", "--note", "no GPU"
    assert run(results / "accuracy.json", "-o", html, "--markdown", text, *words) == 0
    header = html.read_text(encoding="utf-8").partition("</header>")[0]
    assert header.endswith('<p class="note">seen at &lt;gate 2&gt;</p><p class="note">no GPU</p>')
    assert "\n\nseen at \\<gate 2\\>\n\nno GPU\n" in text.read_text(encoding="utf-8")


def test_expected_failures_are_one_line(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, html = results / "accuracy.json", results / "report.html"
    other = results / "other.json"
    other.write_text('{"benchmarks": [], "version": "5.1.0"}', encoding="utf-8")
    for words, message in (
        ([one], "nothing to write; add -o FILE or --markdown FILE"),
        ([one, one, "-o", html], "a file of results is named twice"),
        ([one, "-o", one], "two files of this run have this name"),
        ([one, "-o", html, "--markdown", html], "two files of this run have this name"),
        ([one, other, "-o", html], f"{other}: found suite None, expected "),
        ([results / "missing.json", "-o", html], "missing.json: cannot be read"),
        ([one, "-o", results / "no" / "report.html"], "cannot write a file"),
    ):
        assert run(*words) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("edge-crnn report: ")
        assert err.count("\n") == 1
        assert message in err
    assert not html.exists()
    assert json.loads(one.read_text(encoding="utf-8")) == accuracy()


def test_a_report_needs_numpy_alone(results: Path) -> None:
    blocked = ("tensorflow", "keras", "h5py", "cv2", "PIL", "matplotlib", "onnx", "onnxruntime", "ai_edge_litert")
    code = (
        f"import sys\nfor name in {blocked}:\n    sys.modules[name] = None\n"
        "from converters.cli.report import REPORT\nimport argparse\n"
        "parser = argparse.ArgumentParser()\nREPORT.add_arguments(parser)\n"
        "sys.exit(REPORT.run(parser.parse_args(sys.argv[1:])))"
    )
    words = [results / "accuracy.json", results / "bench.json", "-o", results / "report.html"]
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (ended.returncode, ended.stderr) == (0, "")
