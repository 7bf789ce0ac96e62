from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.cli.commands import find_command
from edge_crnn.cli.configuration import load_configuration
from edge_crnn.cli.main import main
from edge_crnn.cli.watch import COMMAND
from edge_crnn.watch.finding.region import Region

ROOT = Path(__file__).parents[3]
FLAGS = {"page"}
LISTS = {"region"}
PATHS = {"lines", "snapshots", "credentials", "hash-key", "detector", "regions", "allow", "block", "token-file"}
NUMBERS = {"rate", "agreement", "port"}

NAMES = st.text("abcö -=#'\"\\", min_size=1, max_size=8).filter(lambda text: text != "--")
PLACES = st.lists(st.text("aö.-", min_size=1, max_size=4).filter(lambda part: part.strip(".")), min_size=1, max_size=3)
TEXTS = PLACES.map("/".join).filter(lambda text: text != "--")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "source": st.sampled_from(["rtsp://camera.local/stream", "$CAMERA", "gate.mp4", "/dev/video0", "-", "--page"]),
    "model": st.sampled_from(["plates", "digits", "mine.tflite", "models/plates"]),
    "camera": NAMES,
    "format": st.sampled_from(["text", "jsonl"]),
    "region": st.lists(st.sampled_from(["gate: 0,0 1,0 1,1", "a b: 0,0 1,0 1,1 heights=20,80"]), max_size=3),
    "rate": st.floats(0.1, 120) | st.integers(1, 120),
    "line": st.sampled_from(["0,0.6 1,0.6 out in", "0,0 1,1"]),
    "agreement": st.integers(1, 100),
    "leave-after": st.sampled_from(["30s", "15m"]),
    "keep": st.sampled_from(["24h", "7d"]),
    "most": st.sampled_from(["500M", "2G"]),
    "mqtt": st.sampled_from(["mqtt://broker", "mqtts://broker:8884"]),
    "frigate": st.sampled_from(["mqtt://broker"]),
    "webhook": st.sampled_from(["https://server/plates"]),
    "page": st.booleans(),
    "host": st.sampled_from(["127.0.0.1", "::1"]),
    "port": st.integers(0, 65535),
    **dict.fromkeys(PATHS, TEXTS),
}
SETTINGS = st.fixed_dictionaries({}, optional=VALUES)


def is_path(key: str, value: str) -> bool:
    """Return whether a value is a path, which is relative to the folder of the file."""
    if key == "source":
        return value not in ("rtsp://camera.local/stream", "$CAMERA")
    return key in PATHS or (key == "model" and value not in ("plates", "digits"))


def as_words(settings: dict[str, Any], folder: Path) -> list[str]:
    """Return settings as words of the command line, with whole paths."""
    words = []
    for key, value in settings.items():
        if key == "source":
            continue
        if key in FLAGS:
            words += [f"--{key}"] if value else []
        else:
            values = value if key in LISTS else [value]
            words += [f"--{key}={folder / one if is_path(key, one) else one}" for one in values]
    if "source" in settings:
        source = settings["source"]
        words += ["--", str(folder / source) if is_path("source", source) else source]
    return words


def as_toml(settings: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def arguments(*words: str) -> dict[str, Any]:
    return {name: value for name, value in vars(COMMAND.arguments("watch", words)).items() if name != "config"}


def test_the_strategies_cover_every_option() -> None:
    options = {
        word[2:] for action in COMMAND.parser("watch")._actions for word in action.option_strings if "--" in word
    }
    assert options - {"help", "config"} == VALUES.keys() - {"source"}


@given(SETTINGS)
def test_a_file_gives_the_same_arguments_as_options(settings: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "gate.toml"
        file.write_text(as_toml(settings), encoding="utf-8")
        assert arguments("--config", str(file)) == arguments(*as_words(settings, Path(name)))


@given(SETTINGS, SETTINGS)
def test_options_win_over_the_file(in_file: dict[str, Any], on_line: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "gate.toml"
        file.write_text(as_toml(in_file), encoding="utf-8")
        on_line = {key: value for key, value in on_line.items() if value not in ([], False)}
        words = as_words(on_line, Path(name))
        both = as_words({**in_file, **on_line}, Path(name))
        assert arguments("--config", str(file), *words) == arguments(*both)


def test_an_option_wins_even_with_its_default(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text('leave-after = "30s"\nport = 80\nregion = ["a: 0,0 1,0 1,1", "b: 0,0 1,0 1,1"]\nsource = "a.mp4"\n')
    words = ["--config", str(file), "--leave-after", "10s", "--port", "8080", "--region", "c: 0,0 1,0 1,1", "b.mp4"]
    found = arguments(*words)
    assert (found["leave_after"], found["port"]) == (10.0, 8080)
    assert found["region"] == [Region.parse("c: 0,0 1,0 1,1")]
    assert found["source"] == Path("b.mp4")  # relative to the working folder


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('hash_key = "key"', "unknown key hash_key; did you mean hash-key?"),
        ("sorce = 1", "did you mean source?"),
        ("help = true", "unknown key help"),
        ('config = "other.toml"', "unknown key config"),
        ("verbose = true", "known are agreement, allow"),
        ('page = "yes"', "page: found text, expected true or false"),
        ("page = 1", "page: found a number, expected true or false"),
        ("[page]\nport = 80", "page: found a table, expected true or false"),
        ("camera = true", "camera: found true, expected text or a number"),
        ("camera = {a = 1}", "camera: found a table"),
        ("camera = 2026-12-01", "camera: found a date or time"),
        ('camera = ["a"]', "camera: found an array, expected one value"),
        ('region = [["a"]]', "region: found an array, expected text"),
        ('region = "gate"', "region: region is 'gate'"),
        ("leave-after = 30", "leave-after: 30 is not a duration such as 90s"),
        ('format = "xml"', "format: invalid choice"),
        ("port = 70000", "port: 70000 is more than 65535"),
        ("port = 80.5", "port: "),
        ('lines = "--"', "lines: found --"),
        ("rate = nan", "rate: nan is not between"),
        ('mqtt = "http://broker"', "mqtt: found 'http://broker'"),
        ('camera = "a"\nsource = "b\n', "is no TOML"),
        ('camera = "a"\nsource = "b\n', "line 2"),
        ("page = true\npage = true", "is no TOML"),
        ('camera = "\ud800"', "is not UTF-8"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    content: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gate.toml"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert main(["watch", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{file}: " in error
    assert problem in error
    assert len(error.splitlines()) == 1


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--config", str(tmp_path / "missing.toml")]) == 1
    assert "missing.toml" in capsys.readouterr().err
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    assert main(["watch", "--config", str(tmp_path / "large.toml")]) == 2
    assert "bytes" in capsys.readouterr().err


def test_a_file_may_begin_with_a_byte_order_mark_and_may_be_empty(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_bytes('\ufeffcamera = "문"\n'.encode())
    assert arguments("--config", str(file))["camera"] == "문"
    file.write_bytes(b"")
    assert arguments("--config", str(file)) == arguments()


def test_a_secret_stays_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gate.toml"
    file.write_text('source = "$CAMERA"\n')
    monkeypatch.setenv("CAMERA", str(tmp_path / "missing.mp4"))
    assert main(["watch", "--config", str(file)]) == 1
    assert "missing.mp4: is not a file" in capsys.readouterr().err


EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), ROOT / "README.md"])
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S))
]


def load(path: Path) -> dict[str, Any]:
    command = find_command("watch")
    assert command is not None
    return load_configuration(path, command.parser("watch"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_load(path: Path) -> None:
    assert "source" in load(path)


@pytest.mark.parametrize("block", BLOCKS)
def test_configurations_in_the_pages_load(block: str, tmp_path: Path) -> None:
    file = tmp_path / "block.toml"
    file.write_text(block, encoding="utf-8")
    assert load(file)


def test_there_are_examples() -> None:
    assert EXAMPLES
    assert BLOCKS


def test_comments_of_the_example_name_other_options_that_load(tmp_path: Path) -> None:
    """Lines such as `# key = "value"` are options that are switched off."""
    lines = (ROOT / "examples/watch.toml").read_text(encoding="utf-8").splitlines()
    options = [re.sub(r"^# ?(?=[a-z-]+ = )", "", line) for line in lines]
    assert options != lines
    file = tmp_path / "watch.toml"
    file.write_text("\n".join(options), encoding="utf-8")
    parser = COMMAND.parser("watch")
    assert load(file).keys() == {
        action.dest for action in parser._actions if not isinstance(action, argparse._HelpAction)
    } - {"config"}
