"""Packages with nothing in them but what they say they need, in the form in which pip takes them."""

from __future__ import annotations

import ensurepip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path


def wheel(
    folder: Path,
    name: str,
    version: str,
    *requires: str,
    tag: str = "py3-none-any",
    python: str = "",
    extras: Iterable[str] = (),
) -> Path:
    """Write a wheel; that of edge-crnn has the command of that name, which prints `here` and its arguments."""
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-{tag}.whl"
    metadata = _metadata(name, version, requires, python, extras)
    files = {
        f"{module}.py": "import sys\n\n\ndef main():\n    print('here', *sys.argv[1:])\n",
        f"{module}-{version}.dist-info/METADATA": metadata,
        f"{module}-{version}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{module}-{version}.dist-info/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
        f"{module}-{version}.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(place, text)
    return path


def sources(folder: Path, name: str, version: str, *requires: str) -> Path:
    """Write an archive of sources that has only metadata."""
    path = folder / f"{name}-{version}.tar.gz"
    content = _metadata(name, version, requires, "", ()).encode()
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def pip(folder: Path) -> bool:
    """Copy the wheel of pip from ensurepip, if this Python has it; return whether it does."""
    wheels = sorted(Path(ensurepip.__file__).with_name("_bundled").glob("pip-*.whl"))
    for path in wheels[:1]:
        shutil.copy(path, folder)
    return bool(wheels)


def _metadata(name: str, version: str, requires: Iterable[str], python: str, extras: Iterable[str]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    return "\n".join([*lines, *([f"Requires-Python: {python}"] if python else []), ""])
