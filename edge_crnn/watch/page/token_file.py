"""The token that opens the page to other machines: a file that only its owner can read."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from ...errors import InputError, OutputError
from ..secret_file import create_secret, read_secret

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{20,200}")
"""Source of the symbols: RFC 6750, section 2.1."""


def read_token(path: Path) -> str:
    """Return the token in a file. A missing file is created with mode 0600 and a random token.

    Raises:
        InputError: others may read the file, or it holds no token.
        OutputError: the file cannot be read or created.
    """
    try:
        if not path.exists():
            create_secret(path, f"{secrets.token_urlsafe(_TOKEN_BYTES)}\n".encode())
        content = read_secret(path, "token", 1024)
    except OSError as error:
        raise OutputError(error.errno, f"{path}: cannot read or create the token ({error.strerror})") from error
    token = content.decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(token):
        raise InputError(
            f"{path}: holds no token; expected 20 to 200 letters, digits and ._~+/=-; remove the file for a new token"
        )
    return token
