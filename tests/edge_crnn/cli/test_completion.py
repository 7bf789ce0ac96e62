from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_crnn.cli.completion import Completion, Option, bash, completions, fish, zsh
from edge_crnn.cli.main import main

MADE = [
    Completion(
        "bench",
        "measure it's speed: [fast]",
        (
            Option(("--images",), "a folder's [images]: here", True, ()),
            Option(("--late",), "drop or queue", True, ("drop", "queue")),
            Option(("-h", "--help"), "show help", False, ()),
        ),
        (),
    ),
    Completion("completion", "print a script", (Option(("-h", "--help"), "show help", False, ()),), ("bash", "zsh")),
]
SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "edge-crnn.bash"
    path.write_text(bash(completions(["read", "bench", "doctor", "completion"])))
    return path


def complete(script: Path, *words: str) -> list[str]:
    """Return the words that bash offers for the last word of a line."""
    line = " ".join(shlex.quote(word) for word in words)
    code = f". {shlex.quote(str(script))}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _edge_crnn"
    ended = subprocess.run(
        ["bash", "-c", f'{code}; printf "%s\\n" "${{COMPREPLY[@]}}"'], capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_accepts_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(SHELLS[shell](MADE))
    subprocess.run([shell, "-n", str(path)], check=True)


def test_bash_completes_commands_options_and_values(script: Path) -> None:
    assert complete(script, "edge-crnn", "re") == ["read"]
    assert complete(script, "edge-crnn", "be") == ["bench"]
    assert "completion" in complete(script, "edge-crnn", "")
    assert complete(script, "edge-crnn", "bench", "--la") == ["--late"]
    assert complete(script, "edge-crnn", "bench", "--late", "d") == ["drop"]
    assert complete(script, "edge-crnn", "completion", "f") == ["fish"]
    assert complete(script, "edge-crnn", "read", "plate") == []  # bash completes file names
    assert complete(script, "edge-crnn", "nothing", "--x") == []


def test_bash_knows_the_function_for_the_program(script: Path) -> None:
    ended = subprocess.run(
        ["bash", "-c", f". {shlex.quote(str(script))}; complete -p edge-crnn"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "complete -o default -F _edge_crnn edge-crnn\n"


def test_zsh_and_fish_name_everything() -> None:
    for text in (zsh(MADE), fish(MADE)):
        for word in ("bench", "completion", "late", "drop queue", "bash zsh", "images"):
            assert word in text
    assert "'*--images[a folder'\\''s \\[images\\]\\: here]:value:_files'" in zsh(MADE)
    assert "-d 'a folder\\'s [images]: here'" in fish(MADE)


def test_a_command_that_lacks_a_package_is_completed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_command(name: str) -> None:
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL")

    monkeypatch.setattr("edge_crnn.cli.completion.find_command", find_command)
    assert completions(["synth"]) == [Completion("synth", "", (), ())]


def test_the_command_prints_a_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("edge_crnn.cli.completion.all_names", lambda: ["doctor"])
    assert main(["completion", "bash"]) == 0
    assert '"doctor --format") words="text json" ;;' in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == 2
