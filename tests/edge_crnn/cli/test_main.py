from __future__ import annotations

import argparse
import importlib.metadata
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn import __version__
from edge_crnn.cli.command import Command, at_least, share
from edge_crnn.cli.main import main
from edge_crnn.errors import BackendUnavailable, DatasetError, OutputError, VerificationError

PROGRAM = (sys.executable, "-m", "edge_crnn")
HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def ran(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes `edge-crnn try` a command that does what it is told, by an entry point."""

    def install(run: Callable[[argparse.Namespace], int] | None, missing: str | None = None) -> None:
        class Point:
            name = "try"

            def load(self) -> object:
                if run is None:
                    raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
                return Command("try it", lambda parser: parser.add_argument("--flag"), run)

        def entry_points(*, group: str, name: str = "try") -> list[Point]:
            assert group == "edge_crnn.commands"
            return [Point()] if name == "try" else []

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

    return install


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_help_lists_the_commands(
    words: list[str], command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda arguments: 0)
    assert main(words) == 0
    streams = capsys.readouterr()
    assert "usage: edge-crnn COMMAND" in streams.out
    for name in ("read", "info", "synth", "try"):
        assert f"\n  {name} " in streams.out
    assert "\n  try           try it\n" in streams.out
    assert streams.err == ""


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr() == (f"edge-crnn {__version__}\n", "")


@pytest.mark.parametrize("name", ["read", "info", "synth"])
def test_help_of_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == main(["help", name]) == 0
    streams = capsys.readouterr()
    assert streams.out.startswith(f"usage: edge-crnn {name} ")
    assert streams.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], "edge-crnn: unknown command 'fly'\nSee edge-crnn --help.\n"),
        (["raed"], "edge-crnn: unknown command 'raed'; did you mean read?\n"),
        (["serve_folder"], "did you mean serve-folder?"),
        (["--versoin"], "edge-crnn: unknown option '--versoin'; did you mean --version?\n"),
        (["read", "a.png", "--wrokers", "2"], "edge-crnn read: unknown option --wrokers; did you mean --workers?\n"),
        (["read"], "the following arguments are required: IMAGE|DIR"),
        (["read", "a.png", "--workers", "0"], "argument --workers: 0 is less than 1"),
        (["read", "a.png", "--n-best", "many"], "argument --n-best: invalid"),
        (["read", "a.png", "--format", "xml"], "argument --format: invalid choice"),
        (["info", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_bad_usage(
    words: list[str], message: str, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda arguments: 0)
    assert main(words) == 2
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.out == ""


ENDS = {
    "done": (lambda: 0, 0, ""),
    "its own failure": (lambda: 1, 1, ""),
    "expected": (DatasetError("plates: no  image,\nexpected some"), 1, "plates: no  image, expected some\n"),
    "a list": (DatasetError("2 images:\n  - a\n  - b"), 1, "2 images:\n  - a\n  - b\n"),
    "no list": (DatasetError("2 images:\n  - a\nand b"), 1, "2 images:   - a and b\n"),
    "no engine": (BackendUnavailable("needs LiteRT"), 1, "needs LiteRT\n"),
    "no room": (OutputError(28, "a.tflite: cannot write"), 1, "a.tflite: cannot write\n"),
    "gate": (VerificationError("reads 98 %"), 3, "reads 98 %\n"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted\n"),
    "no package": (
        ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow"),
        1,
        "needs tensorflow, which is not installed; pip install 'edge-crnn[convert]'\n",
    ),
}


@pytest.mark.parametrize(("end", "status", "message"), ENDS.values(), ids=ENDS)
def test_how_commands_end(
    end: Callable[[], int] | BaseException,
    status: int,
    message: str,
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(arguments: argparse.Namespace) -> int:
        assert arguments.flag == "up"
        sys.stdout.write("a result\n")
        if isinstance(end, BaseException):
            raise end
        return end()

    command(run)
    assert main(["try", "--flag", "up"]) == status
    assert capsys.readouterr() == ("a result\n", f"edge-crnn try: {message}" if message else "")


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error", "a.png"), PermissionError(13, "denied", "a.png")])
def test_a_file_that_fails_unexpectedly_is_named(
    failure: OSError, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise failure

    command(run)
    assert main(["try"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "a.png" in line
    assert failure.strerror in line


@pytest.mark.parametrize("defect", [ValueError("a defect"), ModuleNotFoundError("x", name="edge_crnn.x")])
def test_a_defect_keeps_its_traceback(defect: Exception, command: Callable[..., None]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise defect

    command(run)
    with pytest.raises(type(defect)):
        main(["try"])


def test_a_command_whose_module_lacks_a_package(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(None, missing="ai_edge_litert")
    assert main(["try"]) == 1
    assert capsys.readouterr() == (
        "",
        "edge-crnn try: needs ai_edge_litert, which is not installed; pip install 'edge-crnn[convert]'\n",
    )


def test_help_says_what_to_install_where_packages_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = (place for place, line in enumerate(lines) if line.startswith("  convert "))
    assert lines[place + 1].strip() == "(not installed: pip install 'edge-crnn[convert]')"


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from edge_crnn.cli.main import main; main(['--help']);"
        "assert not {'cv2', 'tensorflow', 'PIL', 'edge_crnn.cli.read', 'converters'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_without_the_converters_their_commands_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    assert main(["convert", "model.keras"]) == 1
    assert "edge-crnn convert: it belongs to the converters" in capsys.readouterr().err


def test_a_built_in_command_that_lacks_a_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def import_module(name: str) -> object:
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL")

    monkeypatch.setattr("edge_crnn.cli.commands.import_module", import_module)
    assert main(["synth", "-o", "plates"]) == 1
    assert (
        capsys.readouterr().err
        == "edge-crnn synth: needs PIL, which is not installed; pip install 'edge-crnn[train]'\n"
    )


def test_entry_points_are_scanned_only_for_unknown_names(
    tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def scanned(**_: object) -> None:
        raise AssertionError("entry points were scanned")

    monkeypatch.setattr(importlib.metadata, "entry_points", scanned)
    assert main(["info", str(tiny_artifact)]) == 0
    assert main(["read", "--model", str(tiny_artifact), "missing.png"]) == 1
    assert main(["read", "--help"]) == 0
    assert "missing.png" in capsys.readouterr().err
    with pytest.raises(AssertionError, match="scanned"):
        main(["fly"])


def test_numbers_from_a_least_one() -> None:
    assert at_least(2)("2") == 2
    with pytest.raises(argparse.ArgumentTypeError, match="1 is less than 2"):
        at_least(2)("1")
    with pytest.raises(ValueError, match="invalid literal"):
        at_least(2)("two")


def test_numbers_have_a_most() -> None:
    assert at_least(1, 256)("256") == 256
    with pytest.raises(argparse.ArgumentTypeError, match="257 is more than 256"):
        at_least(1, 256)("257")


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan"])
def test_a_share_is_from_0_to_1(text: str) -> None:
    assert share("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError, match="is not between 0 and 1"):
        share(text)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_from_the_start(closed: str, tiny_artifact: Path) -> None:
    program = f"{shlex.quote(sys.executable)} -m edge_crnn info {shlex.quote(str(tiny_artifact))}"
    ended = subprocess.run(["sh", "-c", f"{program} {closed}"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.thorough
def test_the_program(tiny_artifact: Path) -> None:
    assert ran("--version").stdout == f"edge-crnn {__version__}\n"
    unknown = ran("fly")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    missing = ran("info", "missing.tflite")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("edge-crnn info: missing.tflite: cannot be read (No such file or directory)")
    assert missing.stderr.count("\n") == 1
    shown = ran("info", tiny_artifact, env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (shown.returncode, shown.stderr) == (0, "")  # and nothing of the engine's own chatter
    assert "32 × 16" in shown.stdout


def test_engines_may_chatter_where_that_is_wanted(tiny_artifact: Path) -> None:
    shown = ran("info", tiny_artifact, env={**os.environ, "EDGE_CRNN_VERBOSE": "1"})
    assert shown.returncode == 0
    assert "XNNPACK delegate" in shown.stderr


@pytest.fixture
def long_job(tiny_artifact: Path, tmp_path: Path) -> list[str]:
    """Words that keep `read` at work for many seconds."""
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes())
    return [*PROGRAM, "read", "--model", str(tiny_artifact), "--format", "jsonl", *["a.png"] * 60_000]


def started(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout is not None
    if b"a.png" not in process.stdout.readline():
        _, errors = process.communicate(timeout=60)
        pytest.fail(f"ended with {process.returncode} before its first line; said {errors.decode()!r}")
    return process


@pytest.mark.thorough
def test_ctrl_c_ends_it_with_one_line(long_job: list[str], tmp_path: Path) -> None:
    process = started(long_job, tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors == b"edge-crnn read: interrupted\n"
    assert process.returncode == 130


@pytest.mark.thorough
def test_a_closed_pipe_ends_it_quietly(long_job: list[str], tmp_path: Path) -> None:
    process = started(long_job, tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `| head -1` does
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == 141


@pytest.mark.parametrize("words", [("--help",), ("info",)])
def test_a_pipe_that_nobody_reads(words: tuple[str, ...], tiny_artifact: Path) -> None:
    source, sink = os.pipe()
    os.close(source)
    model = (tiny_artifact,) if words == ("info",) else ()
    with subprocess.Popen([*PROGRAM, *words, *model], stdout=sink, stderr=subprocess.PIPE) as process:
        os.close(sink)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_results_that_find_no_room(tiny_artifact: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, "info", tiny_artifact], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert ended.stderr == b"edge-crnn info: cannot write (No space left on device); make room\n"
    assert ended.returncode == 1


FULL = {
    "info": ["info", "MODEL"],
    "JSON": ["info", "MODEL", "--format", "json"],
    "read": ["read", "--model", "MODEL", "a.png"],
    "help": ["--help"],
    "help of a command": ["read", "--help"],
    "version": ["--version"],
    "completion": ["completion", "bash"],
}


@pytest.mark.thorough
@pytest.mark.parametrize("words", FULL.values(), ids=FULL)
def test_a_full_disk_is_an_error_of_every_command(words: list[str], tiny_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes())
    words = [str(tiny_artifact) if word == "MODEL" else word for word in words]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60, cwd=tmp_path, env=HERE
        )
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1
    assert b"cannot write (No space left on device); make room" in ended.stderr


@pytest.mark.thorough
def test_a_file_that_must_not_grow_is_an_error_too(long_job: list[str], tmp_path: Path) -> None:
    """A quota or a failing disk has the same effect."""
    words = ["sh", "-c", 'ulimit -f 1; exec "$@" > out', "sh", *long_job]
    ended = subprocess.run(words, stderr=subprocess.PIPE, check=False, timeout=60, cwd=tmp_path, env=HERE)
    assert ended.returncode == 1
    assert ended.stderr == b"edge-crnn read: cannot write (File too large); send the output elsewhere\n"


@pytest.mark.thorough
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_stream_that_is_non_blocking_gets_every_line(
    stream: str, form: str, tiny_artifact: Path, tmp_path: Path
) -> None:
    """honcho#168: of 500 lines, 64 arrived, and the exit status was 0."""
    name = f"{'x' * 200}.png"
    data = cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes() if stream == "stdout" else b"no picture"
    (tmp_path / name).write_bytes(data)
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    words = [*PROGRAM, "read", "--model", str(tiny_artifact), "--format", form, *[name] * 500]
    other = "stderr" if stream == "stdout" else "stdout"
    with subprocess.Popen(words, cwd=tmp_path, env=HERE, **{stream: sink, other: subprocess.DEVNULL}) as process:  # type: ignore[call-overload]
        time.sleep(1)  # until the pipe is full
        os.close(sink)
        with os.fdopen(source, "rb") as pipe:
            lines = pipe.read().splitlines()
        assert process.wait(60) == (0 if stream == "stdout" else 1)
    lines_on_stderr = 1 if form == "jsonl" else 501
    expected = 500 if stream == "stdout" else lines_on_stderr
    assert len(lines) == expected


def test_other_processes_keep_a_shared_pipe_non_blocking(tiny_artifact: Path) -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    subprocess.run([*PROGRAM, "info", tiny_artifact], stdout=sink, check=True, timeout=60)
    assert not os.get_blocking(sink)
    os.close(source)
    os.close(sink)


def test_messages_that_find_no_room_do_not_end_the_work(tiny_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.zeros((16, 32), np.uint8))[1].tobytes())
    (tmp_path / "b.png").write_bytes(b"no picture")
    words = ["read", "--model", str(tiny_artifact), "b.png", "a.png"]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*PROGRAM, *words], stdout=subprocess.PIPE, stderr=full, check=False, timeout=60, cwd=tmp_path, env=HERE
        )
    assert (ended.returncode, ended.stdout.count(b"\n")) == (1, 1)


@pytest.mark.parametrize("name", ["\x1b[31m", "a\x9b31m", "a\u202eb", "a\x07"])
def test_control_characters_of_a_name_are_escaped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", f"{name}.tflite"]) == 1
    errors = capsys.readouterr().err
    assert errors.isprintable() or errors.rstrip("\n").isprintable()
