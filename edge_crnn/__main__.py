"""`python -m edge_crnn` is the program `edge-crnn`."""

from __future__ import annotations

from .cli.main import entry

if __name__ == "__main__":
    entry()
