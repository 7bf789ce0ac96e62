"""The digest of a spec: the SHA-256 of its JSON text as the file stores it.

| file | place of the digest |
|---|---|
| `.tflite` | comment of the ZIP |
| `.onnx` | `edge_crnn_sha256` among its `metadata_props` |
| `NAME.engine.json` | its first field, `spec_sha256`; the text is the file without the line of that field |

Files of version 0.5 and earlier have no digest, and the specs that people write beside trained models need none.
"""

from __future__ import annotations

import re

from ..files import sha256

_COMMENT = b"SHA-256 of edge_crnn.json: "
_OPENING = b"{\n"
_FIELD = re.compile(rb'(\{\s*\n)[ \t]*"spec_sha256"[ \t]*:[ \t]*"([^"\n]*)",[ \t]*\r?\n')


def to_comment(text: bytes) -> bytes:
    """Return the comment of a ZIP that holds the spec."""
    return _COMMENT + sha256(text).encode()


def from_comment(comment: bytes) -> str | None:
    """Return the digest that the comment of a ZIP states; None: it states none."""
    return spelled(comment.removeprefix(_COMMENT)) if comment.startswith(_COMMENT) else None


def with_field(text: bytes) -> bytes:
    """Return a spec's text, as `ModelSpec.to_json` writes it, with the digest in a first line of its own."""
    assert text.startswith(_OPENING)
    return _OPENING + b' "spec_sha256": "' + sha256(text).encode() + b'",\n' + text.removeprefix(_OPENING)


def without_field(data: bytes) -> tuple[bytes, str | None]:
    """Return a spec's text without the line of the digest, and the digest; None: there is no such line."""
    field = _FIELD.match(data)
    if field is None:
        return data, None
    return field[1] + data[field.end() :], spelled(field[2])


def spelled(digest: bytes) -> str:
    """Return a digest as text, whatever bytes damage has made of it."""
    return digest.decode("ascii", "backslashreplace")
