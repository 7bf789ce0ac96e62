"""ModelSpec: everything that a model must say about itself, so that nothing is guessed from shapes.

A spec describes a trained model (written by its owner, beside the file) or an artifact converted from it (then with
`artifact` and `parity` filled in by the converter). Where a spec lives in each format is told by `artifact`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from ..alphabet import Alphabet
from ..errors import AlphabetError, ModelSpecError
from .input import InputSpec as InputSpec
from .input import PerChannel as PerChannel
from .input import Preprocessing as Preprocessing
from .input import problem_of
from .typed import build

VERSION = 2
"""Version of the JSON form. 1: the first. 2: more ways of preprocessing, unused classes, verdicts without labels."""

_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda data: data}
"""Version n → what turns a spec of version n into one of version n + 1."""

_MAX_CLASSES = 1 << 16


@dataclass(frozen=True)
class Quantisation:
    """real = (integer - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class OutputSpec:
    """What the network gives: (batch, steps, classes) probabilities."""

    steps: int
    classes: int
    quantisation: Quantisation | None = None
    """Set where the artifact's own output is int8."""


DecodingMethod: TypeAlias = Literal["greedy", "beam"]


@dataclass(frozen=True)
class DecoderSpec:
    """How probabilities become text unless the caller says otherwise."""

    method: DecodingMethod = "greedy"
    beam_width: int = 10
    grammar: str | None = None
    """A regular expression over labels that every text must match, or the name of one in `edge_crnn.ctc.GRAMMARS`:
    a beam searches such texts alone, and what greedy decoding reads beside them is marked as rejected."""
    reject_below: float = 0.0
    """A reading of lower confidence is marked as rejected."""

    def __post_init__(self) -> None:
        problem = _decoder_problem(self)
        if problem is not None:
            raise ModelSpecError(problem)

    @property
    def headline(self) -> str:
        """What searches for which texts, for a person."""
        width = f" of width {self.beam_width}" if self.method == "beam" else ""
        return f"{self.method}{width}, grammar {self.grammar or 'none'}"


@dataclass(frozen=True)
class Calibration:
    """The images that set the ranges of a quantised artifact."""

    images: int
    sha256: str


Verdict: TypeAlias = Literal["pass", "fail", "underpowered", "unverified"]
"""underpowered: the gates are met, but there are too few images to show it. unverified: no image was read, only the
probabilities of seeded pictures were compared."""


@dataclass(frozen=True)
class Trial:
    """A conversion that was tried in search of the layers that must stay float32."""

    float_layers: tuple[str, ...]
    verdict: Verdict
    agreement: float
    """See `Parity`."""
    accuracy_change: float | None
    """See `Parity`."""
    bytes: int
    """Of its file, without the spec."""


@dataclass(frozen=True)
class ArtifactFacts:
    """What the converter did."""

    format: Literal["tflite", "onnx", "engine"]
    recipe: str
    batch: int
    payload_sha256: str
    """Of the file without its spec; checked on every load."""
    source_sha256: str
    """Of the trained model's file."""
    calibration: Calibration | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    """Versions of what took part in the conversion."""
    float_layers: tuple[str, ...] | None = None
    """Layers that are float32 whatever the recipe says; None: as the recipe says."""
    trials: tuple[Trial, ...] | None = None
    """What was tried to find them."""

    @property
    def headline(self) -> str:
        """Recipe and exceptions, for a person."""
        return f"{self.recipe} but for float32 {', '.join(self.float_layers)}" if self.float_layers else self.recipe


@dataclass(frozen=True)
class ParitySet:
    """One labelled folder read by the reference and by the artifact. Counts of images."""

    name: str
    sha256: str
    images: int
    reference_right: int
    """Without labels, what the reference reads counts as right."""
    artifact_right: int
    same_text: int
    """Images on which both read the same, right or wrong."""
    same_where_right: int
    """Images that the reference reads right and on which the artifact reads the same."""
    labelled: bool = True
    """Whether the images have labels of their own."""


@dataclass(frozen=True)
class Parity:
    """The verdict of verification, and the numbers behind it."""

    verdict: Verdict
    gate_agreement: float
    """Smallest share of the reference's right readings that the artifact must share."""
    gate_accuracy: float
    """Largest move of the accuracy, in points of 100."""
    agreement: float
    agreement_interval: tuple[float, float]
    """95 %, two-sided, Clopper-Pearson."""
    agreement_shown: float
    """What the images show with 95 % confidence: the one-sided lower bound, 1 - 3/n where nothing differs."""
    accuracy_change: float | None
    """Artifact's accuracy less the reference's on labelled images, in points of 100; None: no image has a label."""
    accuracy_change_interval: tuple[float, float] | None
    """95 %, paired."""
    mcnemar_p: float | None
    """Exact two-sided p of McNemar's test on right and wrong."""
    max_probability_change: float
    """Largest |Δp| over all images, steps and classes."""
    sets: tuple[ParitySet, ...]

    @property
    def images(self) -> int:
        """Number of images over all sets."""
        return sum(each.images for each in self.sets)

    @property
    def headline(self) -> str:
        """The verdict and the agreement, for a person."""
        if self.verdict == "unverified":
            return f"unverified: no image was read; on seeded pictures |Δp| ≤ {self.max_probability_change:.2g}"
        low, high = self.agreement_interval
        right = ", right or wrong" if self.accuracy_change is None else " right"
        return (
            f"{self.verdict}: same text on {self.agreement:.2%} ({low:.2%} to {high:.2%}) of what the trained model"
            f" reads{right}"
        )

    @property
    def accuracy_headline(self) -> str:
        """How the accuracy moves, for a person."""
        if self.accuracy_change is None:
            return "accuracy was not measured"
        return f"accuracy {self.accuracy_change:+.2f} points"


@dataclass(frozen=True)
class ReliabilityBin:
    """Readings of neighbouring confidence."""

    readings: int
    confidence: float
    """Mean of what they said."""
    right: float
    """Share of them that is right."""


@dataclass(frozen=True)
class CoveragePoint:
    """What accepting all readings from a confidence on gives; counts of images."""

    threshold: float
    accepted: int
    right: int
    """Of the accepted."""
    shown: float
    """Precision that the images show with 95 % confidence: Clopper-Pearson's one-sided lower bound, of this point."""


@dataclass(frozen=True)
class Confidence:
    """How the confidences of an artifact, with the spec's decoder, were calibrated on a labelled folder."""

    images: int
    right: int
    """Images that it reads right."""
    sha256: str
    """Of the folder's images."""
    temperature: float
    """Log-probabilities are divided by it before they are decoded."""
    error_before: float
    """Expected calibration error of the posteriors as they were, bins of equal mass."""
    error: float
    """The same of the calibrated confidences."""
    reliability: tuple[ReliabilityBin, ...]
    """From the least sure readings to the surest."""
    coverage: tuple[CoveragePoint, ...]
    """The accuracy-coverage curve, from the strictest threshold on; a text outside the grammar is never accepted."""
    isotonic: tuple[tuple[float, float], ...] = ()
    """Points (posterior, probability of being right), both increasing; none: the posterior is the confidence."""

    @property
    def headline(self) -> str:
        """What was fitted, on what, and what it gained, for a person."""
        steps = f", isotonic with {len(self.isotonic)} points" if self.isotonic else ""
        return (
            f"temperature {self.temperature:.3f}{steps}, on {self.images:,} images; expected calibration error"
            f" {self.error:.4f}, before {self.error_before:.4f}"
        )


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a model must say about itself."""

    name: str
    symbols: tuple[str, ...]
    """In class order, without the blank and unused classes. JSON may give one string where each symbol is one
    character."""
    blank: int
    """Class index of the CTC blank: the last class for `ctc_batch_cost`, 0 for `keras.ops`."""
    input: InputSpec
    output: OutputSpec
    unused: tuple[int, ...] = ()
    """Class indices that no text has, such as that of StringLookup's [UNK]."""
    skip_steps: int = 0
    """Leading time steps that are dropped before decoding."""
    label_map: Mapping[str, str] = field(default_factory=dict)
    """Parts of a label → what a person reads."""
    decoder: DecoderSpec = field(default_factory=DecoderSpec)
    artifact: ArtifactFacts | None = None
    parity: Parity | None = None
    confidence: Confidence | None = None
    lambdas: Mapping[str, str] | None = None
    """Name of a Lambda of the trained model → what it does, in the words of `converters.trained.keras.lambdas`, such
    as "squeeze 1", or "loss" for one that ends the model. An artifact's spec has none."""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise ModelSpecError(f"spec of {self.name!r}: {problem}")

    @property
    def alphabet(self) -> Alphabet:
        """Class indices ↔ symbols ↔ text."""
        return Alphabet(self.symbols, self.blank, self.label_map, self.unused)

    def to_json(self) -> str:
        """The JSON form, with its version; what is not known is left out."""
        data = _without_none({"version": VERSION, **dataclasses.asdict(self)})
        if all(len(symbol) == 1 for symbol in self.symbols):
            data["symbols"] = "".join(self.symbols)
        return json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, origin: str = "spec") -> ModelSpec:
        """Read the JSON form of this version or an older one.

        Raises:
            ModelSpecError: no JSON, a field that is missing, unknown or of the wrong type, or a newer version.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelSpecError(f"{origin}: no JSON ({error}); write the spec anew") from error
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
    if (found := problem_of(spec.input)) is not None:
        return found
    if not 2 <= classes <= _MAX_CLASSES or len(spec.symbols) + len(spec.unused) != classes - 1:
        unused = f", {len(spec.unused)} unused" if spec.unused else ""
        return f"{len(spec.symbols)} symbols{unused} and {classes} classes; there must be one class more (the blank)"
    if len(set(spec.unused)) != len(spec.unused) or not all(0 <= index < classes for index in spec.unused):
        return f"unused classes {_list(spec.unused)}; expected different ones from 0 to {classes - 1}"
    if spec.blank in spec.unused:
        return f"class {spec.blank} is the blank and unused; it must be one of the two"
    if not 0 <= spec.skip_steps < spec.output.steps:
        return f"skip_steps {spec.skip_steps} of {spec.output.steps} steps; at least one step must remain"
    if spec.confidence is not None and (found := _confidence_problem(spec.confidence)) is not None:
        return f"confidence: {found}; calibrate again"
    try:
        _ = spec.alphabet
    except AlphabetError as error:
        return str(error)
    return None


def _decoder_problem(decoder: DecoderSpec) -> str | None:
    if decoder.method not in get_args(DecodingMethod):
        return f"method {decoder.method!r}; it must be one of {', '.join(get_args(DecodingMethod))}"
    if not isinstance(decoder.beam_width, int) or decoder.beam_width < 1:
        return f"beam_width {decoder.beam_width!r}; it must be at least 1"
    if not isinstance(decoder.reject_below, int | float) or not 0 <= decoder.reject_below <= 1:
        return f"reject_below {decoder.reject_below!r}; it must be within 0 and 1"
    if decoder.grammar is not None and not isinstance(decoder.grammar, str):
        return f"grammar {decoder.grammar!r}; it must be a regular expression, or the name of a grammar"
    try:
        re.compile(decoder.grammar or "")
    except (re.error, OverflowError, RecursionError) as error:
        return f"grammar {decoder.grammar!r} is no regular expression ({error}); correct it"
    return None


def _confidence_problem(confidence: Confidence) -> str | None:
    if not 0.01 <= confidence.temperature <= 100:
        return f"temperature {confidence.temperature}; it must be within 0.01 and 100"
    posteriors, chances = ([point[axis] for point in confidence.isotonic] for axis in (0, 1))
    if sorted(set(posteriors)) != posteriors or sorted(chances) != chances:
        return "the points of isotonic do not increase"
    if not all(0 <= value <= 1 for value in (*posteriors, *chances, *(each.threshold for each in confidence.coverage))):
        return "a point of isotonic or coverage is not within 0 and 1"
    return None


def _list(indices: tuple[int, ...]) -> str:
    return ", ".join(map(str, indices[:20])) + (", …" if len(indices) > 20 else "")


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }
