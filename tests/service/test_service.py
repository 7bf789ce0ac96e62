"""The unit, its drop-ins and the installer, as far as they can be tested on another machine than the boards."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from edge_crnn.board.board import board
from edge_crnn.cli.commands import COMMANDS
from edge_crnn.cli.serve_folder import add_arguments
from tests.bundle.stubs import pip, wheel
from tests.edge_crnn.board.trees import BARE, plant

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "service" / "edge-crnn@.service"
DROP_INS = {"jetson": ROOT / "jetson" / "edge-crnn.conf", "raspberry-pi": ROOT / "raspberry-pi" / "edge-crnn.conf"}


def settings(file: Path) -> dict[str, dict[str, list[str]]]:
    """Return the values of a unit file by section and name; configparser keeps only one value of a name."""
    sections: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert section
            assert equals, line
            sections[section][name].append(value)
    return sections


def test_it_starts_an_existing_command() -> None:
    unit = settings(UNIT)
    (start,) = unit["Service"]["ExecStart"]
    program, command, *words = start.split()
    assert program == "/opt/edge-crnn/bin/edge-crnn"
    assert command in COMMANDS
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert words.pop() == "$OPTIONS"
    args = parser.parse_args(words)
    assert args.folder == Path("%f")
    (state,) = unit["Service"]["StateDirectory"]
    assert args.output == Path("%S") / state / "readings.jsonl"


def test_systemd_waits_for_it_and_for_signs_of_life() -> None:
    service = settings(UNIT)["Service"]
    assert service["Type"] == ["notify"]
    assert service["WatchdogSec"] == ["2min"]
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == ["2"]  # the exit status of wrong usage
    assert settings(UNIT)["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_what_reading_needs_is_left_open() -> None:
    """Leave open /proc/cpuinfo, from which LiteRT chooses its kernels, and the socket of the watchdog."""
    service = settings(UNIT)["Service"]
    assert "ProcSubset" not in service
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert service["ProtectSystem"] == ["strict"]
    assert "User" in service


@pytest.mark.parametrize("name", DROP_INS)
def test_a_drop_in_changes_the_service_alone(name: str) -> None:
    changes = settings(DROP_INS[name])
    assert set(changes) == {"Service"}
    assert not {"ExecStart", "User", "Type", "ProtectSystem"} & set(changes["Service"])


def analyze(*words: object, units: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; it comes with systemd")
    words = ("systemd-analyze", "--no-pager", *words)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "LC_ALL": "C.UTF-8"}
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(params=[None, *DROP_INS])
def units(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder with the unit of each board; it starts `true`, since systemd checks that the program exists."""
    text = UNIT.read_text(encoding="utf-8").replace("/opt/edge-crnn/bin/edge-crnn", "/bin/true")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    if request.param is not None:
        folder = tmp_path / f"{UNIT.name}.d"
        folder.mkdir()
        shutil.copy(DROP_INS[request.param], folder / "50-board.conf")
    return tmp_path


def test_systemd_understands_it(units: Path) -> None:
    done = analyze("verify", "--man=no", units / "edge-crnn@srv-plates.service", units=units)
    messages = [line for line in done.stderr.splitlines() if "edge-crnn" in line or str(units) in line]
    assert messages == []
    assert done.returncode == 0, done.stderr


def test_systemd_sees_nothing_open_that_need_not_be(units: Path) -> None:
    """Systemd's exposure, from 0 to 10, is at most 0.5, and 0.9 with a Jetson's GPU."""
    (unit,) = units.glob("*.service")
    dropped = units / f"{unit.name}.d" / "50-board.conf"
    has_gpu = dropped.exists() and dropped.read_bytes() == DROP_INS["jetson"].read_bytes()
    words = ("--offline=true", f"--threshold={9 if has_gpu else 5}", "edge-crnn@srv-plates.service")
    done = analyze("security", *words, units=units)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd-analyze cannot check files; systemd 250 can")
    assert done.returncode == 0, done.stdout[-2000:]


def script(name: str, *words: object, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DESTDIR": str(root), "PYTHON": sys.executable}
    command = ["bash", str(ROOT / "service" / name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_stub_installed_twice_and_removed(tmp_path: Path) -> None:
    root, stub = tmp_path / "root", wheel(tmp_path, "edge-crnn", "9", extras=["pi", "jetson"])
    dropped = root / "etc/systemd/system/edge-crnn@.service.d/50-board.conf"
    for name in ("jetson", "raspberry-pi"):
        done = script("install.sh", "--board", name, "--wheels", tmp_path, stub, root=root)
        assert done.returncode == 0, done.stderr
        assert dropped.read_bytes() == DROP_INS[name].read_bytes()
    assert (root / "etc/systemd/system" / UNIT.name).read_bytes() == UNIT.read_bytes()
    printed = subprocess.run([root / "opt/edge-crnn/bin/edge-crnn"], capture_output=True, text=True, check=True).stdout
    assert printed == "here\n"
    assert (root / "usr/local/bin/edge-crnn").readlink() == Path("/opt/edge-crnn/bin/edge-crnn")
    (kept := root / "var/lib/edge-crnn/srv-plates/readings.jsonl").parent.mkdir(parents=True)
    kept.touch()
    for _ in range(2):
        assert script("uninstall.sh", root=root).returncode == 0
        assert {path.name for path in root.rglob("*") if not path.is_dir()} == {"readings.jsonl"}
    assert script("uninstall.sh", "--purge", root=root).returncode == 0
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--board", "toaster"], "no board toaster; one of raspberry-pi, jetson, none"),
        (["--bord", "jetson"], "no option --bord; see --help"),
        (["missing.whl"], "missing.whl is not there; name a checkout or a wheel"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, words: list[str], message: str) -> None:
    done = script("install.sh", *words, root=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_stub_in_its_own_environment(tmp_path: Path) -> None:
    """--venv installs only the environment, and ignores DESTDIR."""
    stub = wheel(tmp_path, "edge-crnn", "9", extras=["pi", "jetson"])
    pip(tmp_path)
    done = script("install.sh", "--venv", tmp_path / "env", "--wheels", tmp_path, stub, root=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "here doctor\n"
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("name", sorted(BARE))
def test_the_board_is_the_one_that_doctor_sees(name: str, tmp_path: Path) -> None:
    """The installer, which runs before doctor is installed, has its own detection; compare both on recorded trees."""
    root = plant(BARE[name], tmp_path)
    environment = {**os.environ, "DESTDIR": str(root), "PYTHON": "/bin/false"}
    command = ["bash", str(ROOT / "service" / "install.sh")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    kind = board(root).kind
    assert f"install.sh: board: {kind if kind in DROP_INS else 'none'}; into {root}/opt/edge-crnn\n" in done.stderr
