"""Opens readers by path or name: `open_reader` with options, `read` on first use."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import TypeAlias

from .. import bounds, ctc
from ..backends import open_backend
from ..errors import ArtifactError, InputError, InputTypeError
from ..images import Image
from ..model import artifact as artifacts
from ..model.artifact import Artifact
from ..model.spec import DecoderSpec, DecodingMethod
from ..preprocess.function import Function, Preprocess
from ..reading import Reading
from .decoder import decoder_for
from .decoding import Texts
from .reader import Reader

Model: TypeAlias = str | os.PathLike[str] | Artifact
"""A name in `NAMES`, the path of a converted model, or a model in memory."""

_DATA = Path(__file__).parents[1] / "data"

DEFAULT_MODEL = _DATA / "plates-int8.tflite"
"""The model that reads Korean plates, int8; used if no model is named."""

_DIGITS = _DATA / "digits-int8.tflite"

NAMES = {"plates": DEFAULT_MODEL, "digits": _DIGITS}
"""Name of a model → its file, which may be missing from this installation."""

_KEPT = 4
"""Largest number of readers that `read` keeps open."""


def open_reader(
    model: Model | None = None,
    *,
    workers: int | None = None,
    threads: int = 1,
    decoder: DecoderSpec | None = None,
    n_best: int = 1,
    target_precision: float | None = None,
    engine: str | None = None,
    lexicon: ctc.Lexicon | Texts | None = None,
    prior: ctc.Prior | None = None,
    preprocess: Function | Preprocess | None = None,
    grammar: str | None = None,
    min_confidence: float | None = None,
    method: DecodingMethod | None = None,
    beam_width: int | None = None,
) -> Reader:
    """Open a converted model.

        with open_reader("plates", grammar="[A-Z]?[0-9]{2,3}[a-z]{1,2}[0-9]{4}", min_confidence=0.9) as reader:
            for reading in reader.read_batch(["front.jpg", "back.jpg"]):
                print(reading, reading.confidence)

    Unless `decoder`, `min_confidence` or `target_precision` says otherwise, readings below the threshold in the
    model's spec are marked as rejected (`Reading.accepted` is False); they still have their text. See
    `reader.decoder` for the way options combine.

    Args:
        model: the name of a model ("plates"), the path of a converted model, or one in memory; None: "plates", Korean
            plates in int8, which comes with the package.
        workers: engines side by side; None: as for `Reader`. For the soonest answer to one image at a time, 1 worker
            with more `threads`.
        threads: of each engine.
        decoder: replaces the decoder in the model's spec as a whole, with its threshold.
        n_best: texts per reading; more than 1 uses a beam.
        target_precision: reject low-confidence readings so that at least this share of the accepted ones is correct,
            such as 0.999; for a calibrated model.
        engine: "tensorrt" runs an `.onnx` as an engine that is built once and cached, on its first start for minutes;
            None: the usual one for the kind of file, which is ONNX Runtime.
        lexicon: the only texts that are read, as a person writes them or as labels; or a `ctc.Lexicon`, which may
            prefer them to others instead. Uses a beam.
        prior: how probable texts are. Uses a beam.
        preprocess: as for `Reader`.
        grammar: restricts decoding to matching text: a regular expression over labels, or a name in `ctc.GRAMMARS`.
            Uses a beam; the threshold stays.
        min_confidence: readings of lower confidence are marked as rejected, from 0 (none) to 1.
        method: "greedy" or "beam"; None: as the other options need it.
        beam_width: prefixes that the beam keeps.

    Raises:
        ArtifactError: the model does not exist, is not of a supported kind, or is damaged.
        ModelSpecError: the model has no spec, a value for the decoder is out of range, or there is a target and the
            model is not calibrated.
        BackendUnavailable: the engine is not installed.
        BackendError: the engine does not accept the model.
        InputError: workers, threads or n_best are out of bounds, the target cannot be met, the engine is not for this
            kind of file, or the function is not the one that the spec names.
        InputTypeError: an argument has the wrong type, which is also a TypeError.
        OutputError: the TensorRT engine cannot be stored.
    """
    for name, value, allowed in (
        ("workers", 1 if workers is None else workers, bounds.WORKERS),
        ("threads", threads, bounds.THREADS),
        ("n_best", n_best, bounds.N_BEST),
    ):
        if not isinstance(value, int):
            raise InputTypeError(f"{name} is {value!r} ({type(value).__name__}), expected a whole number")
        if (problem := allowed.problem(name, value)) is not None:
            raise InputError(problem)
    opened = load("plates" if model is None else model)
    chosen = decoder_for(
        opened.spec,
        decoder=decoder,
        method=method,
        beam_width=beam_width,
        grammar=grammar,
        lexicon=lexicon,
        prior=prior,
        n_best=n_best,
        min_confidence=min_confidence,
        target_precision=target_precision,
    )
    return Reader(
        opened.spec,
        lambda: open_backend(opened, threads, engine),
        workers=workers,
        decoder=chosen,
        n_best=n_best,
        lexicon=lexicon,
        prior=prior,
        preprocess=preprocess,
        model_bytes=len(opened.payload),
    )


def load(model: Model) -> Artifact:
    """Read a converted model and check that its spec describes its payload.

        print(load("plate.tflite").spec.parity.headline)

    Args:
        model: the name of a model, or the path of a converted model; an `Artifact` is returned unchanged.

    Raises:
        ArtifactError: the model does not exist or is damaged.
        ModelSpecError: the file has no spec, or its spec cannot be read.
        InputTypeError: `model` has another type.
    """
    if isinstance(model, Artifact):
        return model
    return artifacts.load(_path_of(model))


def _path_of(model: str | os.PathLike[str]) -> Path:
    if not isinstance(model, str | os.PathLike):
        raise InputTypeError(
            f"model is {model!r} ({type(model).__name__}), expected the path of a converted model, or one of"
            f" {', '.join(map(repr, NAMES))}"
        )
    if model not in NAMES:  # a Path is never a name
        path = Path(model)
        if not path.suffix:
            raise ArtifactError(
                f"{path}: found no suffix, expected a converted model ({', '.join(artifacts.FORMATS)}); name one, or"
                f" give the name of a model as a string: {', '.join(map(repr, NAMES))}"
            )
        return path
    named = NAMES[str(model)]
    if not named.exists():
        raise ArtifactError(
            f"the model {model!r} is not part of this installation; convert it from the repository of edge-crnn:"
            f" edge-crnn convert models/{model}.keras -o {model}.tflite --labelled samples/lines; then open"
            f" {model}.tflite"
        )
    return named


def read(
    image: Image,
    model: Model | None = None,
    *,
    grammar: str | None = None,
    min_confidence: float | None = None,
    target_precision: float | None = None,
    n_best: int = 1,
) -> Reading:
    """Read one image.

        print(edge_crnn.read("plate.jpg"))

    The model is opened by the first call and shared by all later ones with the same options, in all threads; at most
    four stay open. To read with a lexicon or another engine, or to free the model, use `open_reader`.

    Args:
        image: a path, the bytes of an image file, an open binary file, a Pillow image, or an array (H, W) grey or
            (H, W, 3) BGR, uint8 or uint16; for RGB see `from_rgb`.
        model: as for `open_reader`. A file that has changed is opened again.
        grammar: as for `open_reader`.
        min_confidence: as for `open_reader`.
        target_precision: as for `open_reader`.
        n_best: as for `open_reader`.

    Raises:
        ImageError: the image cannot be decoded.
        EdgeCrnnError: as `open_reader`.
    """
    return _shared.reader("plates" if model is None else model, grammar, min_confidence, target_precision, n_best).read(
        image
    )


class _SharedReaders:
    """The readers of `read`, opened on first use; the least recently used are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: OrderedDict[Hashable, tuple[Reader, Model]] = OrderedDict()

    def reader(
        self,
        model: Model,
        grammar: str | None,
        min_confidence: float | None,
        target_precision: float | None,
        n_best: int,
    ) -> Reader:
        key = (_identity(model), grammar, min_confidence, target_precision, n_best)
        with self._lock:
            if key not in self._readers:
                reader = open_reader(
                    model,
                    grammar=grammar,
                    min_confidence=min_confidence,
                    target_precision=target_precision,
                    n_best=n_best,
                )
                self._readers[key] = reader, model  # keeps the model alive, so that its id stays unique
                if len(self._readers) > _KEPT:
                    self._readers.popitem(last=False)  # not closed: another thread may be reading with it
            self._readers.move_to_end(key)
            return self._readers[key][0]


def _identity(model: Model) -> Hashable:
    """Return what identifies a model: its file and version, or the object in memory."""
    if isinstance(model, Artifact):
        return id(model)
    path = _path_of(model)
    try:
        about = path.stat()
    except OSError:
        return str(path)  # opening the model raises the error
    return path.resolve(), about.st_mtime_ns, about.st_size


_shared = _SharedReaders()


def _forget() -> None:
    global _shared
    _shared = _SharedReaders()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # engines do not survive a fork
