"""Invented results, a JSON document for each suite, and a parser that sees a page as a browser does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any, TypeAlias

from converters.report.blocks import Report
from converters.report.compose import compose
from edge_crnn.records.bench import Scenario
from edge_crnn.records.record import from_json
from tests.edge_crnn.bench.made import OFFLINE, record, result

Json: TypeAlias = Any

MACHINE = {
    "cpu": "some CPU",
    "flags": ["avx2"],
    "cores": 2,
    "system": "Linux-6.1-x86_64-with-glibc2.36",
    "python": "3.11.7",
    "versions": {"numpy": "2.4.6"},
}
PICTURE = "data:image/png;base64,iVBORw0KGgo="
SHA = "5" * 64


def parity(right: int = 990, same: int = 989, verdict: str = "pass", name: str = "drawn/mild") -> Json:
    """Return a verdict on 1,000 images."""
    return {
        "verdict": verdict,
        "gate_agreement": 0.995,
        "gate_accuracy": 0.3,
        "agreement": same / right,
        "agreement_interval": [0.99, 0.9999],
        "agreement_shown": 0.9952,
        "accuracy_change": 0.11,
        "accuracy_change_interval": [-0.21, 0.31],
        "mcnemar_p": 0.625,
        "max_probability_change": 0.125,
        "sets": [
            {
                "name": name,
                "sha256": "0" * 64,
                "images": 1000,
                "reference_right": right,
                "artifact_right": 991,
                "same_text": 987,
                "same_where_right": same,
            }
        ],
    }


def detail() -> Json:
    """Return the details of one folder."""
    return {
        "errors": [{"symbols": 9000, "reference": 12, "artifact": 18}],
        "confusions": [
            {"truth": "8", "read": "3", "reference": 1, "artifact": 7},
            {"truth": "1", "read": "", "reference": 2, "artifact": 1},
        ],
        "mean_probability_change": 0.00025,
        "mean_confidence_change": -0.0125,
        "reference_calibration_error": 0.0031,
        "calibration_error": 0.0062,
    }


def _result(suite: str, **more: Json) -> Json:
    return {
        "suite": suite,
        "version": 1,
        "command": f"make {suite.removeprefix('edge-crnn ')}",
        "date": "2026-01-02T03:04:05+00:00",
        "machine": copy.deepcopy(MACHINE),
        "images_are": "rendered plates",
        "model": "plates",
        "source_sha256": "7" * 64,
        **more,
    }


def accuracy() -> Json:
    return _result(
        "edge-crnn accuracy",
        recipes={
            "float32": {"drawn/mild": parity(), "drawn/heavy": parity(970, 969, name="drawn/heavy")},
            "int8": {"drawn/mild": parity(990, 988), "drawn/heavy": parity(970, 966, name="drawn/heavy")},
        },
        details={recipe: {"drawn/mild": detail(), "drawn/heavy": detail()} for recipe in ("float32", "int8")},
        absent={"tensorrt float16": "no GPU"},
    )


def _timing(engine: str, ms: float, *, ours: bool = False, verdict: str = "pass") -> Json:
    return {
        "engine": engine,
        "ours": ours,
        "note": "",
        "file_bytes": 7_600_000 + int(ms),
        "first_ms": 20 * ms,
        "rounds": [{"median_ms": ms * way, "minimum_ms": 0.9 * ms, "processor_ms": ms} for way in (0.98, 1.0, 1.1)],
        "parity": parity(verdict=verdict),
        "ms": ms,
        "processor_ms": ms,
    }


def engines() -> Json:
    run = {
        "threads": 1,
        "load_before": [0.0, 0.0, 0.0],
        "load_after": [0.0, 0.0, 0.0],
        "other_cores": 0.01,
        "timings": [
            _timing("Keras", 43.5),
            _timing("ours int8", 9.5, ours=True),
            _timing("ours float32", 37.25, ours=True),
            _timing("a peer", 12.25, verdict="fail"),
        ],
        "absent": {"another peer": "No module named 'peer'"},
    }
    return _result("edge-crnn engines", calls=25, runs=[run])


def throughput() -> Json:
    document = _result(
        "edge-crnn throughput",
        other_cores=0.02,
        ratios={"inference": 1.145, "folder": 1.135},
        rounds={"inference": [[160.5, 190.25], [170.5, 195.25]], "folder": [[150.5, 171.5]]},
    )
    del document["images_are"], document["model"], document["source_sha256"]
    return document


def decoding_speed() -> Json:
    speeds = [
        {"decoder": name, "batch": 1, "ms": ms, "minimum_ms": 0.9 * ms, "processor_ms": ms, "same": same}
        for name, ms, same in (("greedy", 0.0625, 1.0), ("another", 0.375, 0.9975))
    ]
    return _result(
        "edge-crnn decoding speed", images=500, shape=[9, 42], width=10, other_cores=0.0, speeds=speeds, absent={}
    )


def decoding_errors() -> Json:
    counts = {"images": 500, "greedy_right": 470, "beam_right": 471, "grammar_right": 485, "covered": 480}
    counts |= {"filter_wrong": 9, "grammar_wrong": 4, "fewest_wrong": 2, "remaining": 15, "truth_in_n_best": 8}
    errors = {**counts, "outside": 0}
    return _result("edge-crnn decoding errors", images=500, shape=[9, 42], width=10, grammar="[0-9]{4}", errors=errors)


def verification() -> Json:
    def artifact(name: str, verdict: str, sha256: str) -> Json:
        facts = {"name": name, "recipe": "int8", "format": "tflite", "bytes": 7_654_321, "payload_sha256": sha256}
        return {**facts, "parity": parity(verdict=verdict, name="gate/night"), "detail": detail()}

    def image(name: str, **artifacts: Json) -> Json:
        reference = {"text": "서울 12 나 3456", "right": True}
        return {
            "image": name,
            "set": "gate/night",
            "truth": "서울 12 나 3456",
            "reference": reference,
            "artifacts": artifacts,
            "picture": PICTURE,
        }

    return _result(
        "edge-crnn verify",
        images_are="plates at a gate by night",
        artifacts=[artifact("a.tflite", "pass", "a" * 64), artifact("b.tflite", "underpowered", "b" * 64)],
        changed=3,
        changes=[image("1.jpg", **{"b.tflite": {"text": "서울 12 너 3456", "right": False}})],
        sample=[image("2.jpg")],
    )


def gpu() -> Json:
    def speed(images: int, ours_ms: float, peer_ms: float) -> Json:
        ours, peer = ([{"median_ms": ms, "p90_ms": ms, "minimum_ms": ms}] for ms in (ours_ms, peer_ms))
        return {"model": "plates", "way": "pixels", "images": images, "calls": 9, "ours": ours, "peer": peer}

    texts = {
        "name": "texts",
        "what": "of 500 same",
        "wants": "at least",
        "threshold": 499,
        "figure": 500.0,
        "part": "texts",
        "model": "plates",
    }
    soak = {
        "name": "soak",
        "what": "MB",
        "wants": "at most",
        "threshold": 8,
        "figure": None,
        "part": "memory",
        "model": "plates",
    }
    document = _result(
        "edge-crnn gpu_check",
        gpu={"name": "some GPU", "tensorrt": "tensorrt 10.3"},
        criteria=[
            {**texts, "met": True, "verdict": "met", "note": ""},
            {**soak, "met": None, "verdict": "not run", "note": ""},
        ],
        speed=[speed(1, 0.75, 1.25), speed(32, 1.125, 2.0), {**speed(256, 2.75, 5.0), "peer": []}],
        other_cores=0.03,
    )
    del document["images_are"], document["model"], document["source_sha256"]
    return document


def instructions() -> Json:
    classes = {"dot": 107_655_168, "simd": 4_149_636, "memory": 27_327_721, "scalar": 10_984_677}
    counts = [{"engine": "ours int8", "cpu": cpu, "instructions": classes} for cpu in ("cortex-a76", "another")]
    document = _result("edge-crnn instructions", counted_versions={"numpy": "2.4.6"}, counts=counts)
    del document["images_are"], document["model"]
    return document


def confidence() -> Json:
    def kept(fitted: str, error: float) -> Json:
        bins = [
            {"readings": 20, "confidence": 0.75 + error, "right": 0.7},
            {"readings": 20, "confidence": 0.99, "right": 1},
        ]
        counts = {"images": 40, "right": 34, "points": 7 if "isotonic" in fitted else 0}
        return {"fitted": fitted, "temperature": 1.25, "calibration_error": error, "reliability": bins, **counts}

    outcome = {"images": 40, "accepted": 30, "right": 29, "precision_interval": [0.828, 0.999]}
    return _result(
        "edge-crnn confidence",
        artifact={"recipe": "int8", "payload_sha256": "a" * 64},
        held_sha256="e" * 64,
        decoder={"method": "greedy"},
        fit={
            "images": 120,
            "right": 100,
            "sha256": "d" * 64,
            "temperature": 1.25,
            "error_before": 0.04,
            "error": 0.02,
            "reliability": [],
            "coverage": [
                {"threshold": 0.9, "accepted": 60, "right": 60, "shown": 0.95},
                {"threshold": 0.5, "accepted": 90, "right": 80, "shown": 0.81},
            ],
            "isotonic": [],
        },
        judged=[kept("nothing", 0.0625), kept("temperature", 0.0312), kept("temperature, isotonic", 0.0212)],
        outcomes=[{**outcome, "target": 0.9, "threshold": 0.8125}, {**outcome, "target": 0.99, "threshold": None}],
        targets=[0.9, 0.99],
        rankings=[{"measure": "posterior", "auroc": 0.975, "coverage": [0.85, 0.45]}],
        rejected_at=0.9,
        rejections=[{"kind": "noise", "pictures": 50, "rejected": 49, "interval": [0.9, 1.0], "highest": 0.625}],
    )


def bench() -> Json:
    """Return the results of a Raspberry Pi, with the a.tflite of `verification`."""
    medians = [9.8, 10.0, 10.2]
    many = Scenario("multi", 4, 4)
    sustained = Scenario("sustained", 4, 0, seconds=5.0)
    results = [result(medians), result(medians, 1), result(medians, 0, OFFLINE), result([9, 11], 0, many)]
    results += [result([10, 20], 0, sustained), result(medians, 0, Scenario("camera", 1, 4, fps=30.0, late="drop"))]
    document: Json = json.loads(record(*results).to_json())
    for measured in document["results"]:
        for played in measured["rounds"]:
            stages = played["round"]["stages"]
            if measured["scenario"]["kind"] == "camera":
                stages["wait"] = [100_000] * 4
            if measured["scenario"]["kind"] == "sustained":
                played["round"]["stages"] = {"total": [sum(times) for times in zip(*stages.values(), strict=True)]}
    return document


SUITES = {
    suite.__name__: suite
    for suite in (
        accuracy,
        engines,
        throughput,
        decoding_speed,
        decoding_errors,
        instructions,
        gpu,
        confidence,
        verification,
        bench,
    )
}


def reported(*documents: Json) -> Report:
    return compose(
        [from_json(json.dumps(document), f"made-{number}.json") for number, document in enumerate(documents)]
    )


Path: TypeAlias = tuple[str | int, ...]


def leaves(document: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Yield every value that contains no other, with its path."""
    if isinstance(document, dict):
        items: Iterable[tuple[str | int, Json]] = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    else:
        yield path, document
        return
    for key, value in items:
        yield from leaves(value, (*path, key))


def changed(document: Json, path: Path, value: Json) -> Json:
    """Return a copy of a document with another value at a path."""
    changed_document = copy.deepcopy(document)
    place = changed_document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed_document


class Browser(HTMLParser):
    """The elements of a page with their attributes, and its texts, in order; unbalanced tags are an error."""

    VOID = frozenset({"meta", "img", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: list[str] = []
        self.parts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag == "figure":
            self.figures.append("")
        if tag == "h2":
            self.parts.append("")
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open or not data.strip():
            return
        self.texts.append(data)
        if "figure" in self._open:
            self.figures[-1] += f"{data}\n"
        if self.parts:
            self.parts[-1] += f"{data}\n"

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())
