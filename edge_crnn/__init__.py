"""edge-crnn: reads text in images with a converted CRNN, on a Raspberry Pi, a Jetson or anywhere else.

    from edge_crnn import open_reader

    with open_reader() as reader:
        print(reader.read("plate.jpg").text)

In a shell: `edge-crnn read plate.jpg`.
"""

from __future__ import annotations

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
    InputError,
    ModelFileError,
    ModelSpecError,
    OutputError,
    VerificationError,
)
from .model.spec import DecoderSpec, InputSpec, ModelSpec, OutputSpec
from .reader import Reader, open_reader
from .reading import Alternative, Character, FusedReading, Reading

__version__ = "0.5.0"

__all__ = [
    "AlphabetError",
    "Alternative",
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
    "ImageError",
    "InputError",
    "InputSpec",
    "ModelFileError",
    "ModelSpec",
    "ModelSpecError",
    "OutputError",
    "OutputSpec",
    "Reader",
    "Reading",
    "VerificationError",
    "__version__",
    "open_reader",
]
