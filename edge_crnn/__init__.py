"""edge-crnn: reads text in images with a converted CRNN, on a Raspberry Pi, a Jetson or anywhere else.

    import edge_crnn

    print(edge_crnn.read("plate.jpg"))

    with edge_crnn.open_reader(min_confidence=0.9) as reader:
        for reading in reader.read_batch(["front.jpg", "back.jpg"]):
            print(reading, reading.confidence, reading.accepted)

In a shell: `edge-crnn read plate.jpg`. To convert a trained model, see `convert`.
"""

from __future__ import annotations

import typing

from .backends import FakeBackend
from .errors import (
    AlphabetError,
    ArtifactError,
    BackendError,
    BackendUnavailable,
    ConversionError,
    DatasetError,
    EdgeCrnnError,
    ImageError,
    ImageTypeError,
    InputError,
    InputTypeError,
    ModelFileError,
    ModelSpecError,
    OutputError,
    VerificationError,
)
from .images import from_rgb
from .model.artifact import Artifact
from .model.spec import DecoderSpec, InputSpec, ModelSpec, OutputSpec
from .reader import Reader, load, open_reader, read
from .reading import Alternative, Character, FusedReading, Reading

if typing.TYPE_CHECKING:
    from .conversion import GateResult, TextChange, convert, verify

__version__ = "0.5.0"

__all__ = [
    "AlphabetError",
    "Alternative",
    "Artifact",
    "ArtifactError",
    "BackendError",
    "BackendUnavailable",
    "Character",
    "ConversionError",
    "DatasetError",
    "DecoderSpec",
    "EdgeCrnnError",
    "FakeBackend",
    "FusedReading",
    "GateResult",
    "ImageError",
    "ImageTypeError",
    "InputError",
    "InputSpec",
    "InputTypeError",
    "ModelFileError",
    "ModelSpec",
    "ModelSpecError",
    "OutputError",
    "OutputSpec",
    "Reader",
    "Reading",
    "TextChange",
    "VerificationError",
    "__version__",
    "convert",
    "from_rgb",
    "load",
    "open_reader",
    "read",
    "verify",
]

_LAZY = ("GateResult", "TextChange", "convert", "verify")
"""Names in `conversion`, which a device does without."""


def __getattr__(name: str) -> typing.Any:
    if name in _LAZY:
        from . import conversion

        return getattr(conversion, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
