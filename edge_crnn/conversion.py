"""Conversion and verification from Python. The converters do the work; they are imported on first use.

The runtime does not import the converters. They are found as entry points of the group `edge_crnn.inspectors`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import BackendUnavailable
from .model.artifact import Artifact
from .model.spec import Parity, Verdict

if TYPE_CHECKING:
    from .labels.rules import LabelRules
    from .preprocess.function import Function, Preprocess

PathLike: TypeAlias = str | os.PathLike[str]
Folders: TypeAlias = PathLike | Iterable[PathLike]
"""A folder, or several."""

_GROUP = "edge_crnn.inspectors"


@dataclass(frozen=True)
class TextChange:
    """An image in which the converted model reads another text than the trained model."""

    path: Path
    trained: str
    """Text that the trained model reads."""
    converted: str
    """Text that the converted model reads."""


@dataclass(frozen=True)
class GateResult:
    """The comparison of a converted model with the trained model. True if it passes the gate.

    Too few images make the verdict `underpowered`, and no images make it `unverified`; both are not a pass.
    """

    artifact: Artifact
    """The converted model; after `convert`, with the numbers below in its spec."""
    parity: Parity
    """The numbers behind the verdict."""
    changes: tuple[TextChange, ...]
    """All images whose text changed."""
    written: bool
    """True if the converted model was written to `path`."""
    notes: tuple[str, ...]
    """Remarks for the user about the images, the trained model and the recipe."""

    @property
    def path(self) -> Path:
        """Path of the converted model, which exists if it was written or only verified."""
        return self.artifact.path

    @property
    def verdict(self) -> Verdict:
        """The verdict: `pass`, `fail`, `underpowered` or `unverified`."""
        return self.parity.verdict

    @property
    def passed(self) -> bool:
        """True if the verdict is `pass`."""
        return self.verdict == "pass"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        """Return the verdict, and the agreement and accuracy behind it."""
        return f"{self.parity.headline}; {self.parity.accuracy_headline}; {self.parity.images:,} images"


def convert(
    model: PathLike,
    output: PathLike | None = None,
    *,
    images: Folders = (),
    labelled: Folders = (),
    calibration: PathLike | None = None,
    recipe: str | None = None,
    keep_float: Iterable[str] = (),
    batch: int | None = None,
    takes_pixels: bool = True,
    grammar: str | None = None,
    gate_agreement: float = 0.995,
    gate_accuracy: float = 0.3,
    strict: bool = False,
    teacher: PathLike | None = None,
    spec: PathLike | None = None,
    architecture: str | None = None,
    recurrent_activation: str | None = None,
    layers: PathLike | None = None,
    preprocess: Function | Preprocess | None = None,
    label_rules: LabelRules | None = None,
    recursive: bool = False,
    **conventions: Any,
) -> GateResult:
    """Convert a trained model to TFLite or ONNX, and verify that it reads the same text.

        result = edge_crnn.convert("plates.keras", "plates.tflite", labelled="photos")
        print(result)  # pass: same text on 99.98% …

    The converted model is written unless the gate is not met; see `GateResult.written`. In a shell this is
    `edge-crnn convert`, which also builds TensorRT engines.

    Args:
        model: a trained CRNN: .keras, .h5 or a TensorFlow 1 checkpoint.
        output: path of the converted model; its suffix, .tflite or .onnx, selects the format. None: the model's name
            with the suffix .tflite, in the current folder.
        images: folders of images without labels, which only show agreement with the trained model.
        labelled: folders of images with labels, which show agreement and accuracy.
        calibration: folder of images that determine the ranges of int8; None: some of the other images, which are then
            not used for verification. A note on stderr says so if the recipe does not use it.
        recipe: "int8", "float16", … as `edge-crnn convert --help` lists them, or "auto", which tries all and takes the
            fastest that passes; None: int8 for .tflite, dynamic without images, and float32 for .onnx.
        keep_float: names of layers that stay float32 whatever the recipe says.
        batch: images per call of a .tflite; None: 1.
        takes_pixels: True if the converted model takes uint8 pixels instead of the network's own float32 input.
        grammar: grammar of the texts that the converted model reads by default; see `open_reader`.
        gate_agreement: smallest share, from 0 to 1, of the trained model's correct readings that must stay the same.
        gate_accuracy: largest change of the accuracy, in percentage points.
        strict: do not write a model if there are too few images to show that it passes.
        teacher: for a slimmed model, the model that it was slimmed from, whose texts count; None: the file beside it
            that its spec names.
        spec: the model's spec; None: MODEL.json beside it, if there is one.
        architecture: for a file of weights alone, the file with the output of `model.to_json()`.
        recurrent_activation: for a file of weights alone, the gates' function.
        layers: your own Python file that converts layers that edge-crnn does not know.
        preprocess: your own function in place of all steps of preprocessing; see `preprocess.function`.
        label_rules: rules for finding the labels of `labelled`; None: the usual places.
        recursive: also take the images in subfolders of all folders.
        conventions: facts that the model file does not state, by the names of the options of `edge-crnn convert` with
            underscores, such as `alphabet="0123456789"`, `blank="last"`, `pixels="x/255"`, `resize="fit"`; and
            `lambdas={"squeeze": "squeeze 1"}`.

    Raises:
        BackendUnavailable: the extra `convert` is not installed.
        InputTypeError: an argument has the wrong type or an unknown name, which is also a TypeError.
        EdgeCrnnError: the model cannot be read or converted, the images cannot be used, or the output cannot be
            written. A gate that is not met is not an error here.
    """
    function: Callable[..., GateResult] = find_converter("convert")
    return function(
        model,
        output,
        images=images,
        labelled=labelled,
        calibration=calibration,
        recipe=recipe,
        keep_float=keep_float,
        batch=batch,
        takes_pixels=takes_pixels,
        grammar=grammar,
        gate_agreement=gate_agreement,
        gate_accuracy=gate_accuracy,
        strict=strict,
        teacher=teacher,
        spec=spec,
        architecture=architecture,
        recurrent_activation=recurrent_activation,
        layers=layers,
        preprocess=preprocess,
        label_rules=label_rules,
        recursive=recursive,
        **conventions,
    )


def verify(
    model: PathLike,
    artifact: PathLike | Artifact,
    *,
    images: Folders = (),
    labelled: Folders = (),
    gate_agreement: float = 0.995,
    gate_accuracy: float = 0.3,
    teacher: PathLike | None = None,
    spec: PathLike | None = None,
    architecture: str | None = None,
    recurrent_activation: str | None = None,
    layers: PathLike | None = None,
    preprocess: Function | Preprocess | None = None,
    label_rules: LabelRules | None = None,
    recursive: bool = False,
    **conventions: Any,
) -> GateResult:
    """Compare a converted model with the trained model on images; nothing is written.

        assert edge_crnn.verify("plates.keras", "plates.tflite", images="photos")

    Args:
        model: see `convert`.
        artifact: the converted model, or its path.
        images: see `convert`; at least one folder here or in `labelled`.
        labelled: see `convert`.
        gate_agreement: see `convert`.
        gate_accuracy: see `convert`.
        teacher: see `convert`.
        spec: see `convert`.
        architecture: see `convert`.
        recurrent_activation: see `convert`.
        layers: see `convert`.
        preprocess: see `convert`.
        label_rules: see `convert`.
        recursive: see `convert`.
        conventions: see `convert`.

    Raises:
        EdgeCrnnError: see `convert`.
    """
    function: Callable[..., GateResult] = find_converter("verify")
    return function(
        model,
        artifact,
        images=images,
        labelled=labelled,
        gate_agreement=gate_agreement,
        gate_accuracy=gate_accuracy,
        teacher=teacher,
        spec=spec,
        architecture=architecture,
        recurrent_activation=recurrent_activation,
        layers=layers,
        preprocess=preprocess,
        label_rules=label_rules,
        recursive=recursive,
        **conventions,
    )


def find_converter(name: str) -> Any:
    """Import a function of the converters.

    Args:
        name: `convert`, `verify`, or `trained`, which inspects a trained model.

    Raises:
        BackendUnavailable: the converters, or packages that they import, are not installed.
    """
    from importlib.metadata import entry_points  # slow to import

    install = "trained models are opened by the converters: pip install 'edge-crnn[convert]'"
    points = tuple(entry_points(group=_GROUP, name=name))
    if not points:
        raise BackendUnavailable(install)
    try:
        return points[0].load()
    except ModuleNotFoundError as error:
        raise BackendUnavailable(f"{install} ({error.name} is missing)") from error
