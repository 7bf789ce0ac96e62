"""Addresses without passwords, for names and messages."""

from __future__ import annotations

import re

_SECRET = re.compile(r"((?:pass|pwd|psw|secret|token|key|auth)\w*[=:])[^/;]*", re.IGNORECASE)
"""A password in the path, as in `/user=admin_password=1234_channel=1`."""


def public_name(address: str) -> str:
    """Return the address of a camera without what may hold a password.

    The user, the password and the query are removed. A password may contain any character, also `@`, `/` and `?`, so
    everything before the last `@` is removed.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    place = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    path = _SECRET.sub(r"\1…", place)
    return f"{scheme.lower()}://{path}"
