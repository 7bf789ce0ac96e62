"""Whether a folder of packages is enough to install from, without a network, on a machine that is not this one.

pip resolves for another Python and another processor, but evaluates the conditions of requirements on its own; so what
it has fetched is looked through again, as the other machine will.
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
    """None of sources, which are compiled wherever they are."""
    needs_python: SpecifierSet
    requires: tuple[Requirement, ...]


def packages(folder: Path) -> list[Package]:
    """All that is in the folder.

    Raises:
        ValueError: a file is none.
    """
    return [_package(path) for path in sorted(folder.iterdir())]


def missing(found: Sequence[Package], wanted: Sequence[Requirement], system: System, machine: str) -> list[str]:
    """Requirements, direct or by way of others, that nothing in `found` meets on the system; with who has them."""
    supported = set(_tags(system, machine))
    usable = [each for each in found if _runs(each, supported, system)]
    environment = _environment(system, machine)
    lacking: list[str] = []
    waiting = [(requirement, "") for requirement in wanted]
    seen = set()
    while waiting:
        requirement, of = waiting.pop()
        extras = ("", *sorted(requirement.extras))
        if (str(requirement), of) in seen:
            continue
        seen.add((str(requirement), of))
        name = canonicalize_name(requirement.name)
        fitting = [
            each
            for each in usable
            if each.name == name and requirement.specifier.contains(each.version, prereleases=True)
        ]
        if not fitting:
            lacking.append(f"{requirement}{of and f', which {of} needs,'} for {system.name}")
            continue
        best = max(fitting, key=lambda each: each.version)
        waiting.extend((each, best.path.name) for each in best.requires if _holds(each, extras, environment))
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
    requires = tuple(Requirement(each) for each in metadata.get_all("Requires-Dist", []))
    return SpecifierSet(metadata.get("Requires-Python", "")), requires


def _runs(package: Package, supported: set[Tag], system: System) -> bool:
    fits = package.tags is None or not supported.isdisjoint(package.tags)
    return fits and package.needs_python.contains(system.dotted)


def platforms(system: System, machine: str) -> list[str]:
    """Tags of wheels by the C library that they take: PEP 600, and the older names of two of them."""
    major, newest = system.glibc
    found = [f"manylinux_{major}_{minor}_{machine}" for minor in range(newest, 16, -1)]
    return [*found, f"manylinux2014_{machine}", f"linux_{machine}"]


def _tags(system: System, machine: str) -> Iterator[Tag]:
    named = platforms(system, machine)
    yield from cpython_tags(system.python, platforms=named)
    yield from compatible_tags(system.python, f"cp{system.python[0]}{system.python[1]}", platforms=named)


def _environment(system: System, machine: str) -> dict[str, str]:
    """Source: PEP 508, environment markers."""
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
