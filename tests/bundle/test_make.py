"""Bundles of stubs for this machine: packed to the same bytes, and installed without a network."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bundle import make as made
from bundle.boards import BOARDS, Board, System
from bundle.make import BundleError, main, pack
from tests.bundle.stubs import pip, wheel

pytestmark = pytest.mark.thorough

PI = BOARDS["raspberry-pi"]
HERE = replace(PI, systems=(System("here", sys.version_info[:2], (2, 17)),), machine=platform.machine())


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "edge-crnn", "9", "needed; extra == 'pi'", extras=["pi", "watch"])
    wheel(folder, "needed", "1")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (path := tmp_path / "digits.tflite").write_bytes(b"model")
    return path


def unpacked(bundle: Path, folder: Path) -> Path:
    with tarfile.open(bundle) as archive:
        archive.extractall(folder, filter="fully_trusted") if sys.version_info >= (3, 12) else archive.extractall(
            folder
        )
    (root,) = folder.iterdir()
    return root


@functools.cache
def no_network() -> tuple[str, ...]:
    """Return the words that run a command without a network; empty where the system cannot do that."""
    words = ("unshare", "--user", "--map-root-user", "--net")
    if shutil.which("unshare") is None:
        return ()
    works = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if works else ()


def install(bundle: Path, *words: object, root: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, **({"DESTDIR": str(root)} if root else {})}
    command = [*no_network(), "bash", str(bundle / "install.sh"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_packing_again_gives_the_same_bytes(wheels: Path, model: Path, tmp_path: Path) -> None:
    first = pack(HERE, wheels, [model], tmp_path / "first")
    for path in wheels.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    second = pack(HERE, wheels, [model], tmp_path / "second")
    assert first.name == second.name == "edge-crnn-9-raspberry-pi.tar"
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {
        (0, 0, "", "", 315532800)
    }
    assert {member.mode for member in members if member.name.endswith(".sh")} == {0o755}
    assert {member.mode for member in members if not member.name.endswith(".sh")} == {0o644}
    names = {member.name.partition("/")[2] for member in members}
    assert {
        "install.sh",
        "SHA256SUMS",
        "models/digits.tflite",
        "service/edge-crnn@.service",
        "raspberry-pi/README.md",
    } <= names
    assert not [name for name in names if "Dockerfile" in name or "__pycache__" in name or name.startswith("jetson")]


def test_all_files_have_their_sum(wheels: Path, tmp_path: Path) -> None:
    root = unpacked(pack(HERE, wheels, [], tmp_path), tmp_path / "there")
    sums = dict(line.split("  ")[::-1] for line in (root / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert files - {*sums} == {"SHA256SUMS"}
    for name, expected in sums.items():
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == expected


def test_stubs_installed_from_the_bundle_alone_and_without_python3_venv(wheels: Path, tmp_path: Path) -> None:
    """The system needs no pip if the wheels include it."""
    if not pip(wheels):
        pytest.skip("this Python has no pip in ensurepip to put into the bundle")
    root = unpacked(pack(HERE, wheels, [], tmp_path), tmp_path / "there")
    done = install(root, "--venv", tmp_path / "env")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "here doctor\n"
    names = {path.name for path in (tmp_path / "env" / "bin").iterdir()}
    assert {"edge-crnn", "needed"} <= names
    assert "pip" not in names


def test_stubs_installed_for_the_whole_machine(wheels: Path, tmp_path: Path) -> None:
    pip(wheels)
    root = unpacked(pack(HERE, wheels, [], tmp_path), tmp_path / "there")
    done = install(root, root=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root/opt/edge-crnn/bin/edge-crnn").exists()
    dropped = tmp_path / "root/etc/systemd/system/edge-crnn@.service.d/50-board.conf"
    assert dropped.read_bytes() == (root / "raspberry-pi" / "edge-crnn.conf").read_bytes()


OTHER = {
    "another Python": replace(HERE, systems=PI.systems[:1] if sys.version_info[:2] != (3, 11) else PI.systems[1:]),
    "another processor": replace(HERE, machine="riscv64"),
}


@pytest.mark.parametrize("board", OTHER.values(), ids=OTHER)
def test_a_bundle_for_other_machines_says_so(board: Board, wheels: Path, tmp_path: Path) -> None:
    root = unpacked(pack(board, wheels, [], tmp_path), tmp_path / "there")
    done = install(root, "--venv", tmp_path / "env")
    (system,) = board.systems
    assert done.returncode == 1
    assert done.stderr == (
        f"install.sh: this bundle is for Raspberry Pi OS, 64-bit: {board.machine} with Python {system.dotted}"
        f" ({system.name}); found {platform.machine()} with Python {sys.version_info[0]}.{sys.version_info[1]};"
        " use the bundle for this machine\n"
    )
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_file_is_named_and_nothing_is_installed(damage: str, wheels: Path, tmp_path: Path) -> None:
    root = unpacked(pack(HERE, wheels, [], tmp_path), tmp_path / "there")
    file = root / "wheels" / "needed-1-py3-none-any.whl"
    if damage == "gone":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[40] ^= 1
        file.write_bytes(content)
    done = install(root, "--venv", tmp_path / "env")
    assert done.returncode == 1
    assert "wheels/needed-1-py3-none-any.whl: FAILED" in done.stdout + done.stderr
    assert "install.sh: a file has changed since it was packed; copy the bundle here again" in done.stderr
    assert not (tmp_path / "env").exists()


def test_a_missing_model_is_an_error(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none.tflite: does not exist; make it with edge-crnn convert"):
        pack(HERE, wheels, [tmp_path / "none.tflite"], tmp_path)
    assert not list(tmp_path.glob("*.tar"))


def test_a_failed_download_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(made, "_own_wheel", lambda folder: wheel(folder, "edge-crnn", "9", extras=["pi", "watch"]))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert main(["raspberry-pi", "-o", str(tmp_path / "dist")]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == (
        "pip download of pip failed, see above; use a machine on which pip can download packages"
    )
    assert not (tmp_path / "dist").exists()


def test_each_board_has_its_folder_and_its_installer() -> None:
    project = (made.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for board in BOARDS.values():
        assert (made.ROOT / board.name / "install.sh").is_file()
        assert all(f"\n{extra} = [" in project for extra in f"{board.extra},{board.wheels}".split(","))
