"""Every figure on a page comes from the results: where a figure changes in the JSON, the page changes, too."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import pytest

from converters.report.page import page
from edge_crnn.errors import InputError
from tests.converters.report.made import SUITES, Json, Path, changed, leaves, reported


@dataclass(frozen=True)
class Unshown:
    """The numbers of a suite that its page does not show, as `field` names them."""

    never: frozenset[str] = frozenset()
    sometimes: frozenset[str] = frozenset()
    """Fields that a page shows for some entries: those of one set, of no control, of a camera, or the median."""


def fields(prefix: str, names: str) -> frozenset[str]:
    """Return the fields of one prefix, whose names are divided by spaces."""
    return frozenset(f"{prefix}/{name}" if prefix else name for name in names.split())


UNSHOWN = {
    "accuracy": Unshown(
        fields("parity", "agreement agreement_interval agreement_shown"),
        fields("parity", "gate_accuracy gate_agreement"),
    ),
    "engines": Unshown(
        fields("", "calls")
        | fields("runs", "load_after load_before")
        | fields("runs/timings", "ms processor_ms rounds/processor_ms")
        | fields("runs/timings/parity", "accuracy_change accuracy_change_interval agreement agreement_interval")
        | fields("runs/timings/parity", "agreement_shown gate_accuracy gate_agreement max_probability_change mcnemar_p")
        | fields("runs/timings/parity/sets", "reference_right same_where_right")
    ),
    "throughput": Unshown(),
    "decoding_speed": Unshown(fields("", "shape width speeds/processor_ms")),
    "decoding_errors": Unshown(fields("", "shape width") | fields("errors", "fewest_wrong images outside")),
    "instructions": Unshown(),
    "gpu": Unshown(fields("speed", "calls ours/minimum_ms ours/p90_ms peer/minimum_ms peer/p90_ms")),
    "confidence": Unshown(
        fields("fit", "coverage/shown coverage/threshold error error_before right temperature")
        | fields("", "judged/reliability/readings rejections/interval")
    ),
    "verification": Unshown(
        fields("artifacts/parity", "agreement agreement_interval"),
        fields("artifacts/parity", "agreement_shown gate_accuracy gate_agreement"),
    ),
    "bench": Unshown(
        fields("", "images/count results/scenario/seconds")
        | fields("artifacts", "decoder/beam_width decoder/reject_below rss_before_bytes")
        | fields("results/rounds/round", "collecting_ns collections rss_bytes stages/total stages/wait")
        | fields("results/rounds/snapshots", "load memory_available_bytes swap_used_bytes")
        | fields("results/rounds/snapshots/clocks/cores", "limit_mhz max_mhz number"),
        fields("artifacts", "file_bytes load_ns rss_bytes threads warm_up_ns")
        | fields("results", "other_cores scenario/images scenario/readers")
        | fields("results/rounds/round", "dropped elapsed_ns processor_ns")
        | fields("results/rounds/round/stages", "decode infer load preprocess")
        | fields("results/rounds/snapshots", "clocks/cores/mhz zones/celsius"),
    ),
}

REPEATED = re.compile(r"/(rounds|snapshots|cores|zones|load|preprocess|infer|decode|total|wait|warm_up_ns)/[1-9]")
"""Places of repeated measurements behind the first, which are left out to save time."""


def field(path: Path) -> str:
    """Return the place of a value in its schema: the names on its path, without numbers and names of models."""
    names = "/".join(name for name in path if isinstance(name, str))
    return re.sub(r"^details/\w+/drawn/\w+", "detail", re.sub(r"^recipes/\w+/drawn/\w+", "parity", names))


def is_shown(document: Json, html: str, path: Path, value: float) -> bool | None:
    """Return whether the page of a document changes with a value, or None where no other value is valid."""
    step = max(1, value // 10) if type(value) is int else 0.1 * value or 0.05
    for other in (value - step, value + step, value + 1):
        with contextlib.suppress(InputError):  # such as more images read correctly than there are
            return page(reported(changed(document, path, other))) != html
    return None


@pytest.mark.parametrize(
    "suite",
    [pytest.param(name, marks=[pytest.mark.thorough] if name in ("accuracy", "bench") else []) for name in SUITES],
)
def test_a_page_shows_every_figure_but_those_listed(suite: str) -> None:
    document = SUITES[suite]()
    html = page(reported(document))
    places: dict[bool | None, set[str]] = {True: set(), False: set(), None: set()}
    for path, value in leaves(document):
        if type(value) in (int, float) and not REPEATED.search("/".join(map(str, path))):
            places[is_shown(document, html, path, value)].add(field(path))
    shown, hidden = places[True], places[False]
    assert hidden - shown == UNSHOWN[suite].never
    assert hidden & shown == UNSHOWN[suite].sometimes
