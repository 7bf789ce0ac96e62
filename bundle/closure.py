"""Checks that a folder of packages is complete, so that another machine can install from it without a network.

pip resolves for another Python and another processor, but evaluates the conditions of requirements for this machine. So
the downloaded packages are checked again, with the conditions of the other machine.
"""

from __future__ import annotations

import email.parser
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from .boards import System


@dataclass(frozen=True)
class Package:
    """A wheel, or an archive of sources."""

    path: Path
    name: str
    version: Version
    tags: frozenset[Tag] | None
    """None for sources, which are compiled on the board."""
    needs_python: SpecifierSet
    requires: tuple[Requirement, ...]


def packages(folder: Path) -> list[Package]:
    """List the packages in a folder.

    Raises:
        ValueError: a file is not a package.
    """
    return [_package(path) for path in sorted(folder.iterdir())]


def missing(present: Sequence[Package], requirements: Sequence[Requirement], system: System, machine: str) -> list[str]:
    """List the direct and indirect requirements that no package in `present` meets on the system.

    Args:
        present: the available packages.
        requirements: the direct requirements.
        system: the system to install on.
        machine: its processor architecture, such as aarch64.

    Returns:
        A text for each missing requirement, which names the package that needs it.
    """
    supported = set(_tags(system, machine))
    usable = [package for package in present if _runs(package, supported, system)]
    environment = _environment(system, machine)
    lacking: list[str] = []
    waiting = [(requirement, "") for requirement in requirements]
    seen = set()
    while waiting:
        requirement, parent = waiting.pop()
        extras = ("", *sorted(requirement.extras))
        if (str(requirement), parent) in seen:
            continue
        seen.add((str(requirement), parent))
        name = canonicalize_name(requirement.name)
        fitting = [
            package
            for package in usable
            if package.name == name and requirement.specifier.contains(package.version, prereleases=True)
        ]
        if not fitting:
            lacking.append(f"{requirement}{parent and f', which {parent} needs,'} for {system.name}")
            continue
        best = max(fitting, key=lambda package: package.version)
        waiting.extend(
            (dependency, best.path.name) for dependency in best.requires if _holds(dependency, extras, environment)
        )
    return lacking


def _holds(requirement: Requirement, extras: Sequence[str], environment: dict[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras)


def _package(path: Path) -> Package:
    if path.suffix == ".whl":
        name, version, _, tags = parse_wheel_filename(path.name)
        metadata = _of_wheel(path)
        return Package(path, name, version, tags, *_needs(metadata))
    if path.name.endswith(".tar.gz"):
        metadata = _of_sources(path)
        name = canonicalize_name(metadata["Name"])
        return Package(path, name, Version(metadata["Version"]), None, *_needs(metadata))
    raise ValueError(f"found {path.name}, expected wheels and .tar.gz of sources; remove it")


def _of_wheel(path: Path) -> Message:
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1)
        return email.parser.BytesParser().parsebytes(archive.read(name))


def _of_sources(path: Path) -> Message:
    with tarfile.open(path) as archive:
        name = next(name for name in archive.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        file = archive.extractfile(name)
        assert file is not None
        return email.parser.BytesParser().parsebytes(file.read())


def _needs(metadata: Message) -> tuple[SpecifierSet, tuple[Requirement, ...]]:
    requires = tuple(Requirement(line) for line in metadata.get_all("Requires-Dist", []))
    return SpecifierSet(metadata.get("Requires-Python", "")), requires


def _runs(package: Package, supported: set[Tag], system: System) -> bool:
    fits = package.tags is None or not supported.isdisjoint(package.tags)
    return fits and package.needs_python.contains(system.dotted)


def platforms(system: System, machine: str) -> list[str]:
    """List the platform tags of the wheels that run with the system's C library: PEP 600, and two older names."""
    major, newest = system.glibc
    tags = [f"manylinux_{major}_{minor}_{machine}" for minor in range(newest, 16, -1)]
    return [*tags, f"manylinux2014_{machine}", f"linux_{machine}"]


def _tags(system: System, machine: str) -> Iterator[Tag]:
    named = platforms(system, machine)
    yield from cpython_tags(system.python, platforms=named)
    yield from compatible_tags(system.python, f"cp{system.python[0]}{system.python[1]}", platforms=named)


def _environment(system: System, machine: str) -> dict[str, str]:
    """Return the values of environment markers. Source: PEP 508."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{system.dotted}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{system.dotted}.0",
        "python_version": system.dotted,
        "sys_platform": "linux",
    }
