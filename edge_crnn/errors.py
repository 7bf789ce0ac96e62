"""Every error that edge-crnn raises on purpose.

    EdgeCrnnError
    ├── ImageError            (ValueError)   a file or an array cannot be read as an image
    │   └── ImageTypeError    (TypeError)    an image is an object of a type that cannot be read
    ├── ModelSpecError        (ValueError)   the spec of a model is missing, incomplete or wrong
    ├── AlphabetError         (ValueError)   a label or text has a symbol that the alphabet lacks
    ├── DatasetError          (ValueError)   a folder of images is empty, unlabelled or overlaps with another
    ├── ModelFileError        (ValueError)   a trained model cannot be read, or is no CRNN that can be converted
    ├── ArtifactError         (ValueError)   a converted model is damaged, or its spec describes another
    ├── InputError            (ValueError)   a batch or an argument is invalid
    │   └── InputTypeError    (TypeError)    an argument has the wrong type
    ├── BackendUnavailable    (ImportError)  the engine for this kind of file is not installed
    ├── BackendError          (RuntimeError) the engine failed, or was used after close()
    ├── ConversionError       (RuntimeError) the result of a conversion is unusable
    ├── VerificationError     (RuntimeError) the artifact does not read the same text as the reference
    ├── OutputError           (OSError)      a result cannot be written
    └── SourceError           (OSError)      a camera or a recording delivers no frames

Every leaf is also a matching builtin, so callers who do not know this tree can catch it. A message says what was found,
what was expected, and what to do.
"""

from __future__ import annotations

from typing import TypeVar


class EdgeCrnnError(Exception):
    """Base of all errors of edge-crnn."""


class ImageError(EdgeCrnnError, ValueError):
    """A file or an array cannot be read as an image."""


class ImageTypeError(ImageError, TypeError):
    """An image is an object of a type that cannot be read."""


class ModelSpecError(EdgeCrnnError, ValueError):
    """The spec of a model is missing, incomplete or wrong."""


class AlphabetError(EdgeCrnnError, ValueError):
    """A label or text has a symbol that the alphabet lacks."""


class DatasetError(EdgeCrnnError, ValueError):
    """A folder of images is empty, unlabelled, or overlaps with another."""


class ModelFileError(EdgeCrnnError, ValueError):
    """A trained model cannot be read, or is no CRNN that can be converted."""


class ArtifactError(EdgeCrnnError, ValueError):
    """A converted model is damaged, or its spec describes another."""


class InputError(EdgeCrnnError, ValueError):
    """A batch or an argument is invalid."""


class InputTypeError(InputError, TypeError):
    """An argument has the wrong type."""


class BackendUnavailable(EdgeCrnnError, ImportError):  # noqa: N818 - reads as a state, and ImportError carries the suffix
    """The engine for this kind of file is not installed."""


class BackendError(EdgeCrnnError, RuntimeError):
    """The engine failed, or was used after close()."""


class ConversionError(EdgeCrnnError, RuntimeError):
    """The result of a conversion is unusable."""


class VerificationError(EdgeCrnnError, RuntimeError):
    """The artifact does not read the same text as the reference."""


class OutputError(EdgeCrnnError, OSError):
    """A result cannot be written."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class SourceError(EdgeCrnnError, OSError):
    """A camera or a recording delivers no frames, at least not now."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


_Error = TypeVar("_Error", bound=BaseException)


def without_traceback(error: _Error) -> _Error:
    """Remove the tracebacks of an error and its causes, and return the error.

    The frames of a traceback keep all their variables alive, such as the bytes of a file, for as long as the error.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        if cause.__context__ is not cause.__cause__:
            cause.__context__ = None
        cause = cause.__cause__
    return error
