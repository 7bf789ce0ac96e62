"""Tests whether packages are complete for another machine; for this machine, pip is the reference."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bundle.boards import BOARDS, System
from bundle.closure import missing, packages, platforms
from tests.bundle.stubs import sources, wheel

BOOKWORM, TRIXIE = BOARDS["raspberry-pi"].systems
HERE = System("here", sys.version_info[:2], (2, 17))
ABI = f"cp{sys.version_info[0]}{sys.version_info[1]}"


def lacking(folder: Path, requirement: str, system: System = BOOKWORM, machine: str = "aarch64") -> list[str]:
    return missing(packages(folder), [Requirement(requirement)], system, machine)


def test_a_missing_requirement_names_the_package_that_needs_it(tmp_path: Path) -> None:
    wheel(tmp_path, "edge-crnn", "1", "numpy>=1.24", "litert; extra == 'pi'", extras=["pi"])
    wheel(tmp_path, "numpy", "1.23")
    assert lacking(tmp_path, "edge-crnn") == [
        "numpy>=1.24, which edge_crnn-1-py3-none-any.whl needs, for bookworm",
    ]
    assert len(lacking(tmp_path, "edge-crnn[pi]")) == 2
    wheel(tmp_path, "numpy", "2.4")
    wheel(tmp_path, "litert", "2.3")
    assert lacking(tmp_path, "edge-crnn[pi]") == []


def test_conditions_are_those_of_the_other_machine(tmp_path: Path) -> None:
    """pip evaluates conditions for the machine where it runs, whatever --platform and --python-version say."""
    other = "aarch64" if platform.machine() != "aarch64" else "x86_64"
    wheel(tmp_path, "a", "1", f"b; platform_machine == '{other}'", "c; python_version >= '3.13'")
    missing = [[line.partition(";")[0] for line in lacking(tmp_path, "a", on, other)] for on in (BOOKWORM, TRIXIE)]
    assert [sorted(names) for names in missing] == [["b"], ["b", "c"]]


@pytest.mark.parametrize(
    ("tag", "python", "systems"),
    [
        ("cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64", "", ["bookworm"]),
        ("cp313-cp313-manylinux_2_39_aarch64", "", ["trixie"]),
        ("cp37-abi3-manylinux2014_aarch64", "", ["bookworm", "trixie"]),
        ("cp37-abi3-manylinux_2_40_aarch64", "", ["trixie"]),
        ("cp311-cp311-manylinux_2_17_x86_64", "", []),
        ("cp311-cp311-musllinux_1_2_aarch64", "", []),
        ("py3-none-any", ">=3.12", ["trixie"]),
    ],
)
def test_which_wheels_run_where(tag: str, python: str, systems: list[str], tmp_path: Path) -> None:
    wheel(tmp_path, "a", "1", tag=tag, python=python)
    assert [system.name for system in (BOOKWORM, TRIXIE) if not lacking(tmp_path, "a", system)] == systems


def test_requirements_of_sources(tmp_path: Path) -> None:
    sources(tmp_path, "pycuda", "2026.1", "mako")
    assert lacking(tmp_path, "pycuda") == ["mako, which pycuda-2026.1.tar.gz needs, for bookworm"]


def test_needs_may_go_in_circles(tmp_path: Path) -> None:
    wheel(tmp_path, "a", "1", "a[x]", "b; extra == 'x'", extras=["x"])
    wheel(tmp_path, "b", "1", "a")
    assert lacking(tmp_path, "a") == []


def test_a_file_that_is_not_a_package_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"found notes.txt, expected wheels and .tar.gz of sources"):
        packages(tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "requires",
    [["b>=3"], ["b; python_version < '3'", f"b>=2; platform_machine == '{platform.machine()}'", "b; extra == 'x'"]],
)
def test_pip_says_the_same_here(requires: list[str], tmp_path: Path) -> None:
    wheel(tmp_path, "a", "1", *requires, extras=["x"])
    wheel(tmp_path, "b", "2", tag=f"{ABI}-{ABI}-manylinux_2_17_{platform.machine()}")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-index"]
    done = subprocess.run([*command, "--find-links", tmp_path, "a[x]"], capture_output=True, text=True, check=False)
    missing = lacking(tmp_path, "a[x]", HERE, platform.machine())
    assert (done.returncode == 0) == (not missing), (done.stderr, missing)


def test_platforms_are_those_that_the_c_library_has() -> None:
    tags = platforms(BOOKWORM, "aarch64")
    assert tags[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= {*tags}
    assert "manylinux_2_37_aarch64" not in tags
