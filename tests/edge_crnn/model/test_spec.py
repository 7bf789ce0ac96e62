from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_crnn.errors import ModelSpecError
from edge_crnn.model.spec import (
    ArtifactFacts,
    Calibration,
    Confidence,
    CoveragePoint,
    DecoderSpec,
    InputSpec,
    ModelSpec,
    OutputSpec,
    Parity,
    ParitySet,
    Preprocessing,
    Quantisation,
    ReliabilityBin,
    Teacher,
)
from edge_crnn.terminal import UNSAFE

VERSION_1 = """
{
 "version": 1,
 "name": "plates",
 "symbols": "0123나A",
 "blank": 6,
 "input": {
  "width": 128, "height": 64, "axes": "HWC", "scale": 0.00784313725490196, "offset": -1, "colour": "grey",
  "resize": "fit", "padding": 128, "dtype": "uint8"
 },
 "output": {"steps": 32, "classes": 7, "quantisation": {"scale": 0.00390625, "zero_point": -128}},
 "skip_steps": 2,
 "label_map": {"A": "서울 "},
 "decoder": {"method": "beam", "beam_width": 5, "grammar": "A?[0-3나]+", "reject_below": 0.5},
 "artifact": {
  "format": "tflite", "recipe": "int8", "batch": 1, "payload_sha256": "aa", "source_sha256": "bb",
  "calibration": {"images": 128, "sha256": "cc"}, "tools": {"edge-crnn": "0.1.0"}
 },
 "parity": {
  "verdict": "pass", "gate_agreement": 0.995, "gate_accuracy": 0.3, "agreement": 0.999,
  "agreement_interval": [0.99, 1], "agreement_shown": 0.992, "accuracy_change": -0.1,
  "accuracy_change_interval": [-0.2, 0.0], "mcnemar_p": 0.5, "max_probability_change": 0.25,
  "sets": [
   {"name": "mild", "sha256": "dd", "images": 500, "reference_right": 499, "artifact_right": 498, "same_text": 498,
    "same_where_right": 498}
  ]
 }
}
"""
"""As the first release wrote it, never to be edited: what is on people's devices must load for ever."""

OF_VERSION_1 = ModelSpec(
    name="plates",
    symbols=("0", "1", "2", "3", "나", "A"),
    blank=6,
    input=InputSpec(128, 64, "HWC", 0.00784313725490196, -1.0, resize="fit", padding=128, dtype="uint8"),
    output=OutputSpec(32, 7, Quantisation(0.00390625, -128)),
    skip_steps=2,
    label_map={"A": "서울 "},
    decoder=DecoderSpec("beam", 5, "A?[0-3나]+", 0.5),
    artifact=ArtifactFacts("tflite", "int8", 1, "aa", "bb", Calibration(128, "cc"), {"edge-crnn": "0.1.0"}),
    parity=Parity(
        "pass", 0.995, 0.3, 0.999, (0.99, 1.0), 0.992, -0.1, (-0.2, 0.0), 0.5, 0.25,
        (ParitySet("mild", "dd", 500, 499, 498, 498, 498),),
    ),
)  # fmt: skip

CONFIDENCE_1 = """
{
 "images": 200, "right": 190, "sha256": "ee", "temperature": 1.25, "error_before": 0.04, "error": 0.01,
 "reliability": [{"readings": 100, "confidence": 0.8, "right": 0.75}, {"readings": 100, "confidence": 1, "right": 1}],
 "coverage": [{"threshold": 0.99, "accepted": 100, "right": 100, "shown": 0.97}],
 "isotonic": [[0.5, 0.25], [0.99, 0.999]]
}
"""
"""As the first release that calibrates wrote it under `confidence`, never to be edited either."""

OF_CONFIDENCE_1 = Confidence(
    200, 190, "ee", 1.25, 0.04, 0.01,
    (ReliabilityBin(100, 0.8, 0.75), ReliabilityBin(100, 1.0, 1.0)),
    (CoveragePoint(0.99, 100, 100, 0.97),),
    ((0.5, 0.25), (0.99, 0.999)),
)  # fmt: skip

LEAST = """
{"version": 1, "name": "digits", "symbols": ["0", "1", "sk"], "blank": 0,
 "input": {"width": 100, "height": 32, "axes": "WHC", "scale": 1, "offset": 0}, "output": {"steps": 24, "classes": 4}}
"""
"""All that the owner of a trained model has to write."""


def test_specs_of_version_1_load() -> None:
    assert ModelSpec.from_json(VERSION_1) == OF_VERSION_1
    assert ModelSpec.from_json(VERSION_1.encode()) == OF_VERSION_1
    assert ModelSpec.from_json(LEAST) == ModelSpec(
        "digits", ("0", "1", "sk"), 0, InputSpec(100, 32, "WHC", 1.0, 0.0), OutputSpec(24, 4)
    )


def test_calibrated_specs_load() -> None:
    calibrated = json.dumps({**json.loads(VERSION_1), "confidence": json.loads(CONFIDENCE_1)})
    assert ModelSpec.from_json(calibrated) == replace(OF_VERSION_1, confidence=OF_CONFIDENCE_1)
    assert "confidence" not in OF_VERSION_1.to_json()


def test_a_spec_without_reduce_samples_as_it_did_and_stays_readable_by_older_versions() -> None:
    assert OF_VERSION_1.input.reduce is None
    assert "reduce" not in OF_VERSION_1.to_json()


def test_lambdas_are_written_only_if_present() -> None:
    assert OF_VERSION_1.lambdas is None
    assert "lambdas" not in OF_VERSION_1.to_json()
    spec = replace(OF_VERSION_1, lambdas={"lambda_1": "squeeze 1, scale 1/255", "ctc": "loss"})
    assert json.loads(spec.to_json())["lambdas"] == {"lambda_1": "squeeze 1, scale 1/255", "ctc": "loss"}
    assert ModelSpec.from_json(spec.to_json()) == spec
    with pytest.raises(ModelSpecError, match="lambdas: ctc: found 1, expected str"):
        ModelSpec.from_json(spec.to_json().replace('"loss"', "1"))


def test_a_teacher_is_written_only_if_there_is_one() -> None:
    assert OF_VERSION_1.teacher is None
    assert "teacher" not in OF_VERSION_1.to_json()
    spec = replace(OF_VERSION_1, teacher=Teacher("plates.keras", "ff", 0.1487))
    assert json.loads(spec.to_json())["teacher"] == {"file": "plates.keras", "sha256": "ff", "share": 0.1487}
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert Teacher("plates.keras", "ff", 0.1487).headline == "slimmed from plates.keras, 14.9% of the multiplications"


@pytest.mark.parametrize(
    ("field", "value"), [("file", ""), ("file", "../plates.keras"), ("share", 0), ("share", -0.1), ("share", 1.5)]
)
def test_a_teacher_that_cannot_be_is_an_error(field: str, value: Any) -> None:
    teacher = {"file": "plates.keras", "sha256": "ff", "share": 0.1487, field: value}
    with pytest.raises(ModelSpecError, match=f"teacher: {field}"):
        ModelSpec.from_json(changed("teacher", teacher))


def test_migrations_are_applied_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_crnn.model.spec.VERSION", 3)
    monkeypatch.setattr(
        "edge_crnn.model.spec._MIGRATIONS",
        {1: lambda old: {**old, "name": old["name"] + ", 2"}, 2: lambda old: {**old, "name": old["name"] + ", 3"}},
    )
    assert ModelSpec.from_json(VERSION_1).name == "plates, 2, 3"
    assert ModelSpec.from_json(VERSION_1.replace('"version": 1', '"version": 2')).name == "plates, 3"
    assert ModelSpec.from_json(VERSION_1.replace('"version": 1,', "")).name == "plates"
    assert ModelSpec.from_json(OF_VERSION_1.to_json()) == OF_VERSION_1


sizes = st.integers(1, 2000)
shares = st.floats(0, 1)
reals = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**9)
texts = st.text(max_size=8)
characters = st.characters(exclude_categories=["Cs"])  # halves of characters
shown = st.text(characters.filter(lambda character: not UNSAFE.search(character)), max_size=8)
parities = st.builds(
    Parity,
    agreement_interval=st.tuples(shares, shares),
    accuracy_change_interval=st.tuples(reals, reals),
    sets=st.lists(
        st.builds(
            ParitySet,
            name=texts,
            sha256=texts,
            images=counts,
            reference_right=counts,
            artifact_right=counts,
            same_text=counts,
            same_where_right=counts,
        ),
        max_size=3,
    ).map(tuple),
    verdict=st.sampled_from(["pass", "fail", "underpowered"]),
    **dict.fromkeys(
        (
            *("gate_agreement", "gate_accuracy", "agreement", "agreement_shown", "accuracy_change"),
            *("mcnemar_p", "max_probability_change"),
        ),
        reals,
    ),
)
increasing = st.lists(shares, max_size=4, unique=True).map(sorted)
confidences = st.builds(
    Confidence,
    images=st.integers(10**9, 10**12),
    right=counts,
    sha256=texts,
    temperature=st.floats(0.01, 100),
    error_before=reals,
    error=reals,
    reliability=st.lists(st.builds(ReliabilityBin, counts, reals, reals), max_size=2).map(tuple),
    coverage=st.lists(
        st.builds(CoveragePoint, shares, st.integers(1000, 10**9), st.integers(0, 1000), reals), max_size=2
    ).map(tuple),
    isotonic=increasing.map(lambda values: tuple((value, value / 2) for value in values)),
)
teachers = st.builds(
    Teacher,
    file=st.text(characters.filter(lambda character: character != "/"), min_size=1, max_size=8),
    sha256=texts,
    share=st.floats(1e-6, 1),
)
artifacts = st.builds(
    ArtifactFacts,
    format=st.sampled_from(["tflite", "onnx", "engine"]),
    recipe=texts,
    batch=sizes,
    payload_sha256=texts,
    source_sha256=texts,
    calibration=st.none() | st.builds(Calibration, counts, texts),
    tools=st.dictionaries(texts, texts, max_size=3),
)


@st.composite
def inputs(draw: st.DrawFn) -> InputSpec:
    colour = draw(st.sampled_from(["grey", "bgr", "rgb"]))
    image = InputSpec(
        width=draw(sizes),
        height=draw(sizes),
        axes=draw(st.sampled_from(["HWC", "WHC"])),
        scale=draw(per_channel(colour, st.floats(1e-30, 1e30) | st.floats(-1e30, -1e-30))),
        offset=draw(per_channel(colour, st.floats(-1e30, 1e30))),
        colour=colour,
    )
    if draw(st.booleans()):
        function = Preprocessing(draw(st.sampled_from(["f", "binär_2"])), draw(st.sampled_from("0a")) * 64)
        return replace(image, function=function)
    dtype = draw(st.sampled_from(["float32", "uint8"]))
    choices = ["otsu", "adaptive mean 11 2", "adaptive gaussian 3 -1.5", "clahe 2 8", "clahe 0 1"]
    filters = draw(st.lists(st.sampled_from(choices), max_size=2)) + draw(st.lists(st.just("resize"), max_size=1))
    return replace(
        image,
        resize=draw(st.sampled_from(["stretch", "fit", "height", "paste"])),
        align=draw(st.sampled_from(["left", "centre", "right"])),
        align_vertical=draw(st.sampled_from(["top", "centre", "bottom"])),
        odd_pixel=draw(st.sampled_from(["after", "before"])),
        rounding=draw(st.sampled_from(["nearest", "down", "up"])),
        interpolation=draw(st.sampled_from(["linear", "area", "pil-bilinear", "pil-bicubic"])),
        reduce=draw(st.sampled_from([None, "area"])),
        padding=draw(st.just("edge") | per_channel(colour, st.integers(0, 255))),
        rotate=draw(st.sampled_from([0, 90, 180, 270])),
        filters=tuple(filters) if colour == "grey" else (),
        invert=draw(st.booleans()),
        standardise=dtype == "float32" and draw(st.booleans()),
        dtype=dtype,
    )


def per_channel(colour: str, numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return numbers if colour == "grey" else numbers | st.tuples(numbers, numbers, numbers)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    single = [*"0123456789ABC가나다라"]
    longer = ["sk", "서울", "rk", "ÅB", " ", "\"'", "\u200d"]
    choices = single + longer if draw(st.booleans()) else single
    symbols = draw(st.lists(st.sampled_from(choices), min_size=1, unique=True))
    steps = draw(sizes)
    unused = draw(st.integers(0, 2))
    classes = len(symbols) + 1 + unused
    blank, *others = draw(st.permutations(range(classes)))
    return ModelSpec(
        name=draw(texts),
        symbols=tuple(symbols),
        blank=blank,
        unused=tuple(others[:unused]),
        input=draw(inputs()),
        output=OutputSpec(
            steps, classes, draw(st.none() | st.builds(Quantisation, st.floats(1e-30, 1e30), st.integers(-128, 127)))
        ),
        skip_steps=draw(st.integers(0, steps - 1)),
        label_map=draw(st.dictionaries(st.sampled_from(symbols), shown, max_size=1)),
        decoder=draw(
            st.builds(
                DecoderSpec,
                method=st.sampled_from(["greedy", "beam"]),
                beam_width=st.integers(1, 1000),
                grammar=st.none() | st.sampled_from(["", r"\d{2}[가-힣]\d{4}"]),
                reject_below=shares,
            )
        ),
        artifact=draw(st.none() | artifacts),
        parity=draw(st.none() | parities),
        confidence=draw(st.none() | confidences),
        teacher=draw(st.none() | teachers),
    )


@settings(deadline=None)
@given(specs())
def test_json_round_trip(spec: ModelSpec) -> None:
    text = spec.to_json()
    assert ModelSpec.from_json(text) == spec
    assert ModelSpec.from_json(text.encode()).to_json() == text


def test_the_json_is_for_people_too() -> None:
    text = OF_VERSION_1.to_json()
    assert '"symbols": "0123나A"' in text
    assert "서울" in text
    assert "null" not in replace(OF_VERSION_1, artifact=None, parity=None).to_json()


def changed(where: str, value: Any) -> str:
    """A calibrated spec of version 1 with one value changed, or taken out where `value` is `...`."""
    data = {**json.loads(VERSION_1), "confidence": json.loads(CONFIDENCE_1)}
    *path, last = where.split(".")
    place = data
    for name in path:
        place = place[int(name) if name.isdigit() else name]
    if isinstance(place, list):
        last = int(last)
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(data)


IMAGE = json.loads(VERSION_1)["input"]
WRONG = {
    "unknown field": (changed("beam", 5), "unknown field 'beam'; known are name, symbols"),
    "unknown field inside": (changed("input.mean", 5), "input: unknown field 'mean'; known are width, height"),
    "missing field": (changed("blank", ...), "field 'blank' is missing; add it"),
    "missing field inside": (changed("parity.sets.0.images", ...), "parity: sets: field 'images' is missing"),
    "text for a number": (changed("blank", "6"), "blank: found '6', expected int"),
    "truth for a number": (changed("blank", True), "blank: found True, expected int"),
    "part for a whole": (changed("skip_steps", 2.0), r"skip_steps: found 2.0, expected int"),
    "number for a text": (changed("name", 7), "name: found 7, expected str"),
    "list for an object": (changed("input", []), "input: found list, expected an object"),
    "object for a list": (changed("symbols", {}), "symbols: found {}, expected tuple"),
    "numbers for symbols": (changed("symbols", [0, 1]), "symbols: found 0, expected str"),
    "no such choice": (changed("input.axes", "CHW"), "axes: found 'CHW', expected 'HWC' | 'WHC'"),
    "list for a choice": (changed("input.axes", ["HWC"]), r"axes: found \['HWC'\], expected 'HWC' | 'WHC'"),
    "number for a map": (changed("label_map", 1), "label_map: found 1, expected Mapping"),
    "number in a map": (changed("label_map.A", 1), "label_map: A: found 1, expected str"),
    "null for a number": (changed("blank", None), "blank: found None, expected int"),
    "one of a pair": (changed("parity.agreement_interval", [0.5]), r"found \[0.5\], expected tuple"),
    "text for a pair": (changed("parity.agreement_interval", "ab"), "agreement_interval: found 'ab', expected tuple"),
    "text for objects": (changed("parity.sets", "ab"), "sets: found 'ab', expected tuple"),
    "NaN": (changed("input.scale", float("nan")), "scale: found nan, expected float"),
    "infinity": (changed("input.offset", float("inf")), "offset: found inf, expected float"),
    "too large a number": (changed("input.offset", 10**400), "offset: found 1000000.*, expected float"),
    "scale 0": (changed("input.scale", 0), "scale 0.0 and offset -1.0; expected a scale of 1e-30 to 1e\\+30"),
    "newer version": (changed("version", 3), "version 3, this edge-crnn reads 1 to 2; update edge-crnn"),
    "version 0": (changed("version", 0), "version 0, this edge-crnn reads 1 to 2"),
    "version true": (changed("version", True), "version True, this edge-crnn reads 1 to 2"),
    "too few symbols": (changed("symbols", "0123"), "4 symbols and 7 classes; there must be one class more"),
    "no symbols": (changed("symbols", ""), "0 symbols and 7 classes; there must be one class more"),
    "a symbol twice": (changed("symbols", "0123나0"), "the alphabet has '0' twice, expected every symbol once"),
    "half a character": (changed("name", "\ud800"), r"name: found '\\ud800', expected str"),
    "half a symbol": (changed("symbols", ["0", "1", "2", "3", "A", "\udcff"]), r"symbols: found '\\udcff'"),
    "half a key": (changed("artifact.tools", {"\ud800": "1"}), r"tools: found '\\ud800', expected str"),
    "blank out of range": (changed("blank", 7), r"blank is 7, expected 0 \(first\) to 6"),
    "all steps skipped": (changed("skip_steps", 32), "skip_steps 32 of 32 steps; at least one step must remain"),
    "steps skipped backwards": (changed("skip_steps", -1), "skip_steps -1 of 32 steps"),
    "no width": (changed("input.width", 0), "input: width is 0, expected a whole number from 1 to 65,536"),
    "huge": (
        changed("input", {**IMAGE, "width": 5000, "height": 5000}),
        "input of 5000 × 5000 pixels; expected at most 16,777,2",
    ),
    "padding": (changed("input.padding", 256), "padding 256; a level is 0 to 255"),
    "no beam": (changed("decoder.beam_width", 0), "beam_width is 0, expected a whole number from 1 to 1,000"),
    "reject above 1": (changed("decoder.reject_below", 1.5), "reject_below 1.5; it must be within 0 and 1"),
    "grammar": (changed("decoder.grammar", "[0-9"), r"grammar '\[0-9' is no regular expression .*; correct it"),
    "huge grammar": (changed("decoder.grammar", "a{99999999999}"), "grammar '.*' is no regular"),
    "label map": (changed("label_map", {"X": "x"}), "label map has the key 'X', expected symbols of the alphabet"),
    "temperature": (
        changed("confidence.temperature", 0),
        "confidence: temperature 0.0; it must be within 0.01 and 100",
    ),
    "falling": (changed("confidence.isotonic.1.1", 0.2), "confidence: the points of isotonic do not increase; calib"),
    "a point twice": (changed("confidence.isotonic.1.0", 0.5), "the points of isotonic do not increase"),
    "no image": (changed("confidence.images", 0), "the counts of images contradict each other"),
    "none accepted": (changed("confidence.coverage.0.accepted", 0), "the counts of images contradict each other"),
    "more right than accepted": (changed("confidence.coverage.0.right", 101), "the counts of images contradict"),
    "threshold": (changed("confidence.coverage.0.threshold", 2), "a point of isotonic or coverage is not within 0 and"),
    "no JSON": ("plates", "no JSON"),
    "cut short": (VERSION_1[:300], "no JSON"),
    "empty": ("", "no JSON"),
    "no object": ("[1]", "found list, expected a JSON object"),
    "deep": ("[" * 100_000, "no JSON"),
    "long number": ('{"version": ' + "1" * 9999 + "}", "no JSON|version 1111"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_spec_is_one_error(text: str, message: str) -> None:
    with pytest.raises(ModelSpecError, match=f"^.*{message}") as caught:
        ModelSpec.from_json(text, origin="plates.keras.json")
    assert str(caught.value).startswith(("plates.keras.json: ", "spec of 'plates': "))
    assert len(str(caught.value)) < 600


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ModelSpecError, match="no JSON"):
        ModelSpec.from_json(b"\xff\xfe\xfd")


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | reals | texts, lambda x: st.lists(x) | st.dictionaries(texts, x)
    )
)
def test_any_json_is_a_spec_or_a_spec_error(data: object) -> None:
    for where in ("input", "input.width", "symbols", "parity.sets", "artifact.tools", "output.quantisation"):
        try:
            ModelSpec.from_json(changed(where, data))
        except ModelSpecError:
            continue


def test_specs_built_in_python_are_checked() -> None:
    with pytest.raises(ModelSpecError, match="spec of 'plates': skip_steps 40 of 32 steps"):
        replace(OF_VERSION_1, skip_steps=40)
    with pytest.raises(ModelSpecError, match="beam_width is 0, expected"):
        replace(OF_VERSION_1, decoder=DecoderSpec(beam_width=0))


def test_shapes_follow_the_axes() -> None:
    image = OF_VERSION_1.input
    assert image.shape == (64, 128, 1)
    assert replace(image, axes="WHC", colour="rgb").shape == (128, 64, 3)


def test_the_alphabet_reads() -> None:
    alphabet = OF_VERSION_1.alphabet
    assert alphabet.read(alphabet.spell([5, 1, 4])) == "서울 1나"
    assert OF_VERSION_1.parity is not None
    assert OF_VERSION_1.parity.images == 500
