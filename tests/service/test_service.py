"""The units, their drop-ins and the installer, as far as they can be tested on another machine than the boards."""

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
from edge_crnn.cli.configuration import load_configuration
from edge_crnn.cli.serve_folder import add_arguments
from edge_crnn.cli.watch import COMMAND as WATCH_COMMAND
from tests.bundle.stubs import pip, wheel
from tests.edge_crnn.board.trees import BARE, plant

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "service" / "edge-crnn@.service"
WATCH = ROOT / "service" / "edge-crnn-watch@.service"
VIDEO = ROOT / "service" / "video.conf"
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


def test_watching_takes_a_configuration_and_prints_no_plates() -> None:
    unit = settings(WATCH)["Service"]
    (start,) = unit["ExecStart"]
    program, command, *words = start.split()
    assert program == "/opt/edge-crnn/bin/edge-crnn"
    assert command == "watch"
    parsed = WATCH_COMMAND.parser("watch").parse_args(words)
    assert parsed.config == Path("/etc/edge-crnn/watch/%i.toml")
    assert parsed.source is None
    assert unit["StandardOutput"] == ["null"]
    (folder,) = unit["WorkingDirectory"]
    assert folder == f"%S/{unit['StateDirectory'][0]}"


def test_the_configuration_that_the_pages_show_for_the_service_writes_where_it_may(tmp_path: Path) -> None:
    for board_name in DROP_INS:
        page = (ROOT / board_name / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
        for block in blocks:
            (tmp_path / "gate.toml").write_text(block, encoding="utf-8")
            values = load_configuration(tmp_path / "gate.toml", WATCH_COMMAND.parser("watch"))
            written = [values[name] for name in ("lines", "snapshots", "hash_key", "token_file") if name in values]
            assert written
            assert all(path.is_relative_to("/var/lib/edge-crnn/watch/gate") for path in written)


def test_the_watching_service_has_a_network_and_devices_only_with_its_drop_in() -> None:
    service = settings(WATCH)["Service"]
    assert service["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert "PrivateNetwork" not in service
    assert "ProcSubset" not in service
    assert service["ProtectSystem"] == ["strict"]
    assert service["PrivateDevices"] == ["yes"]
    assert settings(VIDEO)["Service"]["DeviceAllow"] == ["char-video4linux rw"]


@pytest.mark.parametrize("unit", [UNIT, WATCH], ids=lambda unit: unit.name)
def test_systemd_waits_for_it_and_for_signs_of_life(unit: Path) -> None:
    service = settings(unit)["Service"]
    assert service["Type"] == ["notify"]
    assert service["WatchdogSec"] == ["2min"]
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == ["2"]  # the exit status of wrong usage
    assert settings(unit)["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_what_reading_needs_is_left_open() -> None:
    """Leave open /proc/cpuinfo, from which LiteRT chooses its kernels, and the socket of the watchdog."""
    service = settings(UNIT)["Service"]
    assert "ProcSubset" not in service
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert service["ProtectSystem"] == ["strict"]
    assert "User" in service


@pytest.mark.parametrize("file", [*DROP_INS.values(), VIDEO], ids=lambda file: file.name)
def test_a_drop_in_changes_the_service_alone(file: Path) -> None:
    changes = settings(file)
    assert set(changes) == {"Service"}
    assert not {"ExecStart", "User", "Type", "ProtectSystem"} & set(changes["Service"])


def analyze(*words: object, units: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; it comes with systemd")
    words = ("systemd-analyze", "--no-pager", *words)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "LC_ALL": "C.UTF-8"}
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=environment)


EXPOSURES = [
    pytest.param(UNIT, None, 5, id="folder"),
    pytest.param(UNIT, DROP_INS["raspberry-pi"], 5, id="folder-raspberry-pi"),
    pytest.param(UNIT, DROP_INS["jetson"], 9, id="folder-jetson"),
    pytest.param(WATCH, None, 10, id="watch"),
    pytest.param(WATCH, VIDEO, 14, id="watch-video"),
]
"""Unit, drop-in, and the greatest exposure that systemd may find, in tenths: what the network costs is 0.6."""


@pytest.fixture
def units(unit: Path, drop_in: Path | None, tmp_path: Path) -> Path:
    """Return a folder with a unit and a drop-in; it starts `true`, since systemd checks that the program exists."""
    text = unit.read_text(encoding="utf-8").replace("/opt/edge-crnn/bin/edge-crnn", "/bin/true")
    (tmp_path / unit.name).write_text(text, encoding="utf-8")
    if drop_in is not None:
        folder = tmp_path / f"{unit.name}.d"
        folder.mkdir()
        shutil.copy(drop_in, folder / "50-board.conf")
    return tmp_path


@pytest.mark.parametrize(("unit", "drop_in", "most"), EXPOSURES)
def test_systemd_understands_it(unit: Path, most: int, units: Path) -> None:
    done = analyze("verify", "--man=no", units / unit.name.replace("@", "@srv-plates"), units=units)
    messages = [line for line in done.stderr.splitlines() if "edge-crnn" in line or str(units) in line]
    assert messages == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("unit", "drop_in", "most"), EXPOSURES)
def test_systemd_sees_nothing_open_that_need_not_be(unit: Path, most: int, units: Path) -> None:
    """Hold systemd's exposure, from 0 to 10, to the tenth."""
    words = ("--offline=true", f"--threshold={most}", unit.name.replace("@", "@srv-plates"))
    done = analyze("security", *words, units=units)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd-analyze cannot check files; systemd 250 can")
    assert done.returncode == 0, done.stdout[-2000:]


def script(name: str, *words: object, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DESTDIR": str(root), "PYTHON": sys.executable}
    command = ["bash", str(ROOT / "service" / name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_stub_installed_twice_and_removed(tmp_path: Path) -> None:
    root, stub = tmp_path / "root", wheel(tmp_path, "edge-crnn", "9", extras=["pi", "jetson", "watch"])
    dropped = root / "etc/systemd/system/edge-crnn@.service.d/50-board.conf"
    for name in ("jetson", "raspberry-pi"):
        done = script("install.sh", "--board", name, "--wheels", tmp_path, stub, root=root)
        assert done.returncode == 0, done.stderr
        assert dropped.read_bytes() == DROP_INS[name].read_bytes()
    for unit in (UNIT, WATCH):
        assert (root / "etc/systemd/system" / unit.name).read_bytes() == unit.read_bytes()
    assert (root / "etc/edge-crnn/watch").is_dir()
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
    stub = wheel(tmp_path, "edge-crnn", "9", extras=["pi", "jetson", "watch"])
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
