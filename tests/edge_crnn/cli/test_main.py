from __future__ import annotations

import argparse
import errno
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.EIO, "Input/output error", "a.png"),
        PermissionError(errno.EACCES, "denied", "a.png"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "a.png"),
        OSError(errno.ELOOP, "Too many levels of symbolic links", "a.png"),
    ],
)
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


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "ESTALE", "ENOMEM"])
def test_a_disk_that_fails_is_an_expected_failure(
    name: str, command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    number = getattr(errno, name)

    def run(arguments: argparse.Namespace) -> int:
        raise OSError(number, os.strerror(number))

    command(run)
    assert main(["try"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert os.strerror(number) in line
    assert "None" not in line


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_missing_program_is_not_taken_for_a_file(program: str, command: Callable[..., None]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        return subprocess.run([program], check=False).returncode

    command(run)
    with pytest.raises(FileNotFoundError, match=program):
        main(["try"])


@pytest.mark.parametrize(
    "defect",
    [
        ValueError("a defect"),
        ModuleNotFoundError("x", name="edge_crnn.x"),
        OSError("a defect"),
        OSError(errno.EBADF, "Bad file descriptor"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset", "a.socket"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
    ],
)
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
