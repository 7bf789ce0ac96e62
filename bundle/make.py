"""Makes a bundle, as in `python -m bundle.make raspberry-pi -o dist --model digits.tflite`.

This machine's pip downloads the packages, from its usual index. The same packages and models always give the same
bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from .boards import BOARDS, Board
from .closure import missing, packages, platforms

ROOT = Path(__file__).parents[1]
_EPOCH = 315532800
"""The time of all files in the tar: 1980-01-01, the first day that zip files can store."""
_SHARED = ("LICENSE", "examples/watch.toml", "samples/README.md", "samples/OFL.txt", "samples/plates", "service")
_SUMS = "SHA256SUMS"


class BundleError(Exception):
    """The bundle cannot be made; the message says what to do."""


def make(board: Board, models: Sequence[Path], folder: Path) -> Path:
    """Download the packages of `board`, and write its tar into `folder`.

    Raises:
        BundleError: a package cannot be downloaded, or a model does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="bundle-") as name:
        wheels = Path(name) / "wheels"
        wheels.mkdir()
        fetch(board, wheels)
        return pack(board, wheels, models, folder)


def fetch(board: Board, folder: Path) -> None:
    """Download into `folder` a wheel of edge-crnn, pip, and all packages that they need on the board's systems.

    Raises:
        BundleError: a package cannot be downloaded.
    """
    own = _own_wheel(folder)
    oldest = min(board.systems, key=lambda system: system.python)
    _pip("download", "--no-deps", "--only-binary=:all:", "--python-version", oldest.dotted, "pip", to=folder)
    for name in board.compiled:
        _pip("download", "--no-deps", "--no-binary", name, name, to=folder)
    # pip does not resolve sources for another machine. So their requirements are downloaded instead.
    needs = [str(requirement) for source in packages(folder) if source.tags is None for requirement in source.requires]
    for system in board.systems:
        words = [word for name in platforms(system, board.machine) for word in ("--platform", name)]
        words += ["--python-version", system.dotted, "--implementation", "cp", "--only-binary=:all:"]
        _pip("download", *words, f"{own}[{board.wheels}]", *needs, *board.build, *system.more, to=folder)
    present = packages(folder)
    requirements = [Requirement(line) for line in (f"edge-crnn[{board.extra}]", "pip", *board.build)]
    lacking = [line for system in board.systems for line in missing(present, requirements, system, board.machine)]
    if lacking:
        raise BundleError(
            f"found no package for {'; '.join(lacking)}; check that this machine's pip finds a matching version"
        )


def pack(board: Board, wheels: Path, models: Sequence[Path], folder: Path) -> Path:
    """Write the tar with the packages in `wheels`.

    Raises:
        BundleError: a model does not exist.
    """
    version = next(package.version for package in packages(wheels) if package.name == "edge-crnn")
    name = f"edge-crnn-{version}-{board.name}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-") as place:
        tree = Path(place) / name
        tree.mkdir()
        shutil.copytree(wheels, tree / "wheels")
        (tree / "models").mkdir()
        for model in models:
            if not model.is_file():
                raise BundleError(f"{model}: does not exist; make it with edge-crnn convert")
            shutil.copy(model, tree / "models")
        for part in (*_SHARED, board.name):
            _copy(ROOT / part, tree / part)
        shutil.copy(ROOT / "bundle" / "install.sh", tree)
        (tree / "bundle.conf").write_text(_conf(board), encoding="utf-8")
        sums = [f"{_sha256(path)}  {path.relative_to(tree).as_posix()}\n" for path in _files(tree)]
        (tree / _SUMS).write_text("".join(sums), encoding="utf-8")
        target = folder / f"{name}.tar"
        partial = target.with_suffix(".part")
        _tar(tree, partial)
        partial.replace(target)
    return target


def _own_wheel(folder: Path) -> Path:
    """Build the wheel from a copy, which leaves no files in the tree, and no stale files in the wheel."""
    with tempfile.TemporaryDirectory(prefix="bundle-") as name:
        for part in ("pyproject.toml", "README.md", "LICENSE", "edge_crnn", "converters"):
            _copy(ROOT / part, Path(name) / part)
        _pip("wheel", "--no-deps", name, to=folder)
    (own,) = (path for path in folder.iterdir() if parse_wheel_filename(path.name)[0] == "edge-crnn")
    return own


def _pip(*words: str, to: Path) -> None:
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    command += ["--wheel-dir" if words[0] == "wheel" else "--dest", str(to)]
    ended = subprocess.run(command, check=False, env={**os.environ, "SOURCE_DATE_EPOCH": str(_EPOCH)})
    if ended.returncode != 0:
        raise BundleError(
            f"pip {words[0]} of {words[-1]} failed, see above; use a machine on which pip can download packages"
        )


def _copy(source: Path, target: Path) -> None:
    """Copy without Python's caches and without file modes, which depend on the checkout."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", "Dockerfile*")
        shutil.copytree(source, target, ignore=ignored, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)


def _conf(board: Board) -> str:
    systems = " or ".join(f"Python {system.dotted} ({system.name})" for system in board.systems)
    values = {
        "board": board.name,
        "machine": board.machine,
        "pythons": " ".join(system.dotted for system in board.systems),
        "meant_for": f"{board.title}: {board.machine} with {systems}",
    }
    return "".join(f'{name}="{value}"\n' for name, value in values.items())


def _files(tree: Path) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _tar(tree: Path, target: Path) -> None:
    """Write an uncompressed tar of the files in alphabetical order, without owners and times.

    Wheels are compressed already, so compressing them again gains nothing.
    """
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in _files(tree):
            member = tarfile.TarInfo(path.relative_to(tree.parent).as_posix())
            member.size = path.stat().st_size
            member.mtime = _EPOCH
            member.mode = 0o755 if path.suffix == ".sh" else 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 after a line on stderr."""
    parser = argparse.ArgumentParser("python -m bundle.make", description="make a bundle for a board without a network")
    parser.add_argument("board", choices=tuple(BOARDS))
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), metavar="DIR", help="(default: dist)")
    parser.add_argument("--model", type=Path, action="append", default=[], metavar="FILE", help="may be repeated")
    arguments = parser.parse_args(words)
    try:
        target = make(BOARDS[arguments.board], arguments.model, arguments.output)
    except BundleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes\n{_sha256(target)}  {target.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
