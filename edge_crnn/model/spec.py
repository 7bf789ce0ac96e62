"""ModelSpec: the full description of a model, so that nothing is guessed from shapes.

A spec describes a trained model or an artifact converted from it. The owner of a trained model writes its spec beside
the file; the converter fills in `artifact` and `parity`. The module `artifact` defines where a format keeps its spec.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from .. import bounds
from ..alphabet import Alphabet
from ..errors import AlphabetError, ModelSpecError
from .confidence import Confidence as Confidence
from .confidence import CoveragePoint as CoveragePoint
from .confidence import ReliabilityBin as ReliabilityBin
from .confidence import problem_of as confidence_problem
from .input import InputSpec as InputSpec
from .input import PerChannel as PerChannel
from .input import Preprocessing as Preprocessing
from .input import problem_of as input_problem
from .typed import build

VERSION = 2
"""Version of the JSON form. 1: the first. 2: more ways of preprocessing, unused classes, verdicts without labels, the
teacher of a slimmed network."""

_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda data: data}
"""Version n → function that turns a spec of version n into version n + 1."""

_CONTROL = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that terminals obey, in the name of a model or of a tool."""
_INT8 = bounds.Bounds(-128, 127)
_SCALES = (1e-30, 1e30)
"""The least and the greatest scale of a quantised output: float32 holds its products."""


@dataclass(frozen=True)
class Quantisation:
    """The mapping from integers to real numbers: real = (integer - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class OutputSpec:
    """The output of the network: probabilities of shape (batch, steps, classes)."""

    steps: int
    classes: int
    quantisation: Quantisation | None = None
    """Set if the artifact's own output is int8."""


DecodingMethod: TypeAlias = Literal["greedy", "beam"]


@dataclass(frozen=True)
class DecoderSpec:
    """The decoder that turns probabilities into text, unless the caller chooses another."""

    method: DecodingMethod = "greedy"
    beam_width: int = 10
    grammar: str | None = None
    """A regular expression over labels that every text must match, or the name of one in `edge_crnn.ctc.GRAMMARS`:
    a beam searches only such texts; if greedy decoding reads another text, it is marked as rejected."""
    reject_below: float = 0.0
    """Readings of lower confidence are marked as rejected."""

    def __post_init__(self) -> None:
        problem = _decoder_problem(self)
        if problem is not None:
            raise ModelSpecError(problem)

    @property
    def headline(self) -> str:
        """Summary of the method and the grammar, for a person."""
        width = f" of width {self.beam_width}" if self.method == "beam" else ""
        return f"{self.method}{width}, grammar {self.grammar or 'none'}"


@dataclass(frozen=True)
class Calibration:
    """The images that determined the ranges of a quantised artifact."""

    images: int
    sha256: str


Verdict: TypeAlias = Literal["pass", "fail", "underpowered", "unverified"]
"""underpowered: the gates are met, but there are too few images to show it. unverified: no image with text was read;
only the probabilities on seeded images were compared."""


@dataclass(frozen=True)
class Trial:
    """A conversion that was tried while searching for the layers that must stay float32."""

    float_layers: tuple[str, ...]
    verdict: Verdict
    agreement: float
    """See `Parity`."""
    accuracy_change: float | None
    """See `Parity`."""
    bytes: int
    """Size of the file in bytes, without the spec."""


@dataclass(frozen=True)
class ArtifactFacts:
    """The record of a conversion."""

    format: Literal["tflite", "onnx", "engine"]
    recipe: str
    batch: int
    payload_sha256: str
    """SHA-256 of the file without its spec; checked on every load."""
    source_sha256: str
    """SHA-256 of the trained model's file."""
    calibration: Calibration | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    """Name → version of every tool that took part in the conversion."""
    float_layers: tuple[str, ...] | None = None
    """Layers that stay float32 whatever the recipe says; None: the recipe decides."""
    trials: tuple[Trial, ...] | None = None
    """The conversions tried to find these layers."""

    @property
    def headline(self) -> str:
        """The recipe and its exceptions, for a person."""
        return f"{self.recipe} but for float32 {', '.join(self.float_layers)}" if self.float_layers else self.recipe


@dataclass(frozen=True)
class ParitySet:
    """The counts of images of a folder that the reference and the artifact read."""

    name: str
    sha256: str
    images: int
    reference_right: int
    """Images that the reference reads correctly. Without labels, all of its readings count as correct."""
    artifact_right: int
    same_text: int
    """Images on which both read the same text, correct or wrong."""
    same_where_right: int
    """Images that the reference reads correctly and on which the artifact reads the same text."""
    labelled: bool = True
    """Whether the images have labels of their own."""


@dataclass(frozen=True)
class Parity:
    """The verdict of verification, and the numbers behind it."""

    verdict: Verdict
    gate_agreement: float
    """Smallest share of the reference's correct readings that the artifact must share."""
    gate_accuracy: float
    """Largest allowed change of the accuracy, in percentage points."""
    agreement: float
    agreement_interval: tuple[float, float]
    """Two-sided 95 % interval (Clopper-Pearson)."""
    agreement_shown: float
    """Agreement that the images show with 95 % confidence: the one-sided lower bound; 1 - 3/n if nothing differs."""
    accuracy_change: float | None
    """Accuracy of the artifact minus that of the reference, on labelled images, in percentage points; None: no image
    has a label."""
    accuracy_change_interval: tuple[float, float] | None
    """95 % interval of the paired difference."""
    mcnemar_p: float | None
    """Exact two-sided p-value of McNemar's test on correct and wrong readings."""
    max_probability_change: float
    """Largest |Δp| over all images, steps and classes."""
    sets: tuple[ParitySet, ...]

    @property
    def images(self) -> int:
        """Number of images over all sets."""
        return sum(image_set.images for image_set in self.sets)

    @property
    def headline(self) -> str:
        """The verdict and the agreement, for a person."""
        if self.verdict == "unverified":
            return f"unverified: no image with text was read; on seeded images |Δp| ≤ {self.max_probability_change:.2g}"
        low, high = self.agreement_interval
        right = ", correct or wrong" if self.accuracy_change is None else " correctly"
        return (
            f"{self.verdict}: same text on {self.agreement:.2%} ({low:.2%} to {high:.2%}) of what the trained model"
            f" reads{right}"
        )

    @property
    def accuracy_headline(self) -> str:
        """The change of the accuracy, for a person."""
        if self.accuracy_change is None:
            return "accuracy was not measured"
        return f"accuracy {self.accuracy_change:+.2f} points"


@dataclass(frozen=True)
class Teacher:
    """The trained model that a smaller network was slimmed from; it is the reference of verification."""

    file: str
    """Name of its file, without folders."""
    sha256: str
    """SHA-256 of that file; for a checkpoint, of its index."""
    share: float
    """Multiplications of the smaller network for one image, as a share of the teacher's."""

    def __post_init__(self) -> None:
        if not self.file or "/" in self.file:
            raise ModelSpecError(f"file {self.file!r}; it must be the name of a file without folders")
        if not 0 < self.share <= 1:
            raise ModelSpecError(f"share {self.share!r}; it must be above 0 and at most 1")

    @property
    def headline(self) -> str:
        """The origin and the size of the smaller network, for a person."""
        return f"slimmed from {self.file}, {100 * self.share:.3g}% of the multiplications"


@dataclass(frozen=True)
class ModelSpec:
    """The full description of a model."""

    name: str
    symbols: tuple[str, ...]
    """Symbols in class order, without the blank and unused classes. JSON may hold one string if every symbol is one
    character."""
    blank: int
    """Class index of the CTC blank: the last class for `ctc_batch_cost`, 0 for `keras.ops`."""
    input: InputSpec
    output: OutputSpec
    unused: tuple[int, ...] = ()
    """Class indices that occur in no text, such as StringLookup's [UNK]."""
    skip_steps: int = 0
    """Leading time steps that are dropped before decoding."""
    label_map: Mapping[str, str] = field(default_factory=dict)
    """Part of a label → text that a person reads for it."""
    decoder: DecoderSpec = field(default_factory=DecoderSpec)
    artifact: ArtifactFacts | None = None
    parity: Parity | None = None
    confidence: Confidence | None = None
    lambdas: Mapping[str, str] | None = None
    """Name of a Lambda of the trained model → what it does, in the words of `converters.trained.keras.lambdas`, such
    as "squeeze 1", or "loss" for one that ends the model. An artifact's spec has none."""
    teacher: Teacher | None = None
    """Set if the network was slimmed from another one."""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise ModelSpecError(f"spec of {self.name!r}: {problem}")

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet: class indices ↔ symbols ↔ text."""
        return Alphabet(self.symbols, self.blank, self.label_map, self.unused)

    def to_json(self) -> str:
        """Return the JSON form with its version, without fields that are None."""
        data = _without_none({"version": VERSION, **dataclasses.asdict(self)})
        if all(len(symbol) == 1 for symbol in self.symbols):
            data["symbols"] = "".join(self.symbols)
        text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)
        return _CONTROL.sub(lambda character: f"\\u{ord(character[0]):04x}", text)  # JSON itself escapes C0 only

    @classmethod
    def from_json(cls, text: str | bytes, origin: str = "spec") -> ModelSpec:
        """Parse the JSON form of this version or an older one.

        Raises:
            ModelSpecError: the text is not JSON, a field is missing, unknown or of the wrong type, or the version is
                newer.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelSpecError(f"{origin}: no JSON ({error}); write the spec again") from error
        if not isinstance(data, dict):
            raise ModelSpecError(f"{origin}: found {type(data).__name__}, expected a JSON object")
        data.pop("$schema", None)  # for editors
        version = data.pop("version", VERSION)
        if type(version) is not int or not 1 <= version <= VERSION:
            raise ModelSpecError(
                f"{origin}: version {version!r}, this edge-crnn reads 1 to {VERSION}; update edge-crnn or convert again"
            )
        for old in range(version, VERSION):
            data = _MIGRATIONS[old](data)
        return build(cls, data, origin, ModelSpecError)


def _problem(spec: ModelSpec) -> str | None:
    classes = spec.output.classes
    if (problem := input_problem(spec.input)) is not None:
        return problem
    if (problem := _output_problem(spec.output)) is not None:
        return problem
    if len(spec.symbols) + len(spec.unused) != classes - 1:
        unused = f", {len(spec.unused)} unused" if spec.unused else ""
        return f"{len(spec.symbols)} symbols{unused} and {classes} classes; there must be one class more (the blank)"
    if len(set(spec.unused)) != len(spec.unused) or not all(0 <= index < classes for index in spec.unused):
        return f"unused classes {_list(spec.unused)}; expected different ones from 0 to {classes - 1}"
    if spec.blank in spec.unused:
        return f"class {spec.blank} is the blank and unused; it must be one of the two"
    if not 0 <= spec.skip_steps < spec.output.steps:
        return f"skip_steps {spec.skip_steps} of {spec.output.steps} steps; at least one step must remain"
    if spec.artifact is not None and (problem := bounds.BATCH.problem("batch", spec.artifact.batch)) is not None:
        return problem
    if spec.confidence is not None and (problem := confidence_problem(spec.confidence)) is not None:
        return f"confidence: {problem}; calibrate again"
    try:
        _ = spec.alphabet
    except AlphabetError as error:
        return str(error)
    return None


def _output_problem(output: OutputSpec) -> str | None:
    if (problem := bounds.STEPS.problem("steps", output.steps)) is not None:
        return problem
    if (problem := bounds.CLASSES.problem("classes", output.classes)) is not None:
        return problem
    quantisation = output.quantisation
    if quantisation is None:
        return None
    least, most = _SCALES
    if not least <= quantisation.scale <= most:
        return f"quantisation: scale is {quantisation.scale}, expected {least:g} to {most:g}"
    return _INT8.problem("zero_point of the quantisation", quantisation.zero_point)


def _decoder_problem(decoder: DecoderSpec) -> str | None:
    if decoder.method not in get_args(DecodingMethod):
        return f"method {decoder.method!r}; it must be one of {', '.join(get_args(DecodingMethod))}"
    if (problem := bounds.BEAM_WIDTH.problem("beam_width", decoder.beam_width)) is not None:
        return problem
    if not isinstance(decoder.reject_below, int | float) or not 0 <= decoder.reject_below <= 1:
        return f"reject_below {decoder.reject_below!r}; it must be within 0 and 1"
    if decoder.grammar is not None and not isinstance(decoder.grammar, str):
        return f"grammar {decoder.grammar!r}; it must be a regular expression, or the name of a grammar"
    try:
        re.compile(decoder.grammar or "")
    except (re.error, OverflowError, RecursionError) as error:
        return f"grammar {decoder.grammar!r} is no regular expression ({error}); correct it"
    return None


def _list(indices: tuple[int, ...]) -> str:
    return ", ".join(map(str, indices[:20])) + (", …" if len(indices) > 20 else "")


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }
