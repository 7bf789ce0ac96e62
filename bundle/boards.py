"""The boards for which there are bundles, and the Pythons of their systems."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """An operating system, with the versions that its wheels must fit."""

    name: str
    python: tuple[int, int]
    glibc: tuple[int, int]
    more: tuple[str, ...] = ()
    """Packages that only its Python needs, which pip overlooks when it runs in a newer one."""

    @property
    def dotted(self) -> str:
        """Version of its Python, such as 3.11."""
        return ".".join(map(str, self.python))


@dataclass(frozen=True)
class Board:
    """A board, with the packages in its bundle."""

    name: str
    """Name of its folder in this repository, and its name for `service/install.sh --board`."""
    title: str
    extra: str
    """Extras of edge-crnn that are installed on the board."""
    wheels: str
    """Extras of edge-crnn whose packages all have wheels."""
    systems: tuple[System, ...]
    compiled: tuple[str, ...] = ()
    """Packages that have no wheels and are compiled on the board."""
    build: tuple[str, ...] = ()
    """Packages that compiling them needs, according to their pyproject.toml."""
    machine: str = "aarch64"


BOARDS = {
    board.name: board
    for board in (
        Board(
            "raspberry-pi",
            "Raspberry Pi OS, 64-bit",
            "pi,watch",
            "pi,watch",
            (System("bookworm", (3, 11), (2, 36)), System("trixie", (3, 13), (2, 41))),
        ),
        Board(
            "jetson",
            "JetPack",
            "jetson,watch",
            "pi,watch",
            (
                System("JetPack 6", (3, 10), (2, 35), more=("exceptiongroup", "tomli")),
                System("JetPack 7", (3, 12), (2, 39)),
            ),
            compiled=("pycuda",),
            build=("setuptools", "wheel", "numpy>=1.24"),
        ),
    )
}
