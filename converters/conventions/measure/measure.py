"""Measurement of a model's conventions on images, beginning with the facts of its file and the user's declarations."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from edge_crnn.alphabet import UNUSED, Alphabet
from edge_crnn.errors import InputError
from edge_crnn.images import Pixels
from edge_crnn.model.spec import InputSpec, Preprocessing

from ...graph.axes import step_axis
from ...graph.graph import Graph
from ...trained.facts import FileFacts
from ..complete import filled
from ..declared import Draft, put
from ..scales import SCALES
from .choices import Dimension
from .findings import Finding, finding
from .judges import ByConfidence, ByLabels, Declared, Judge, Scored
from .search import Search
from .spelling import (
    Characters,
    Spelling,
    agreeing,
    alphabets,
    learned,
    likely_blanks,
    placed,
    sequences,
)
from .trials import Trials

_DIMENSIONS: tuple[Dimension, ...] = (
    "pixels", "invert", "orientation", "colour", "resize", "padding", "interpolation", "rounding", "odd pixel",
)  # fmt: skip
_SPELLING = ("symbols", "blank", "unused", "skip_steps")
_PRIVATE = 0xE000
"""Start of Unicode's private use area: a symbol of several characters is a single one while it is measured."""


@dataclass(frozen=True)
class Measured:
    """The results of a measurement."""

    draft: Draft
    """The spec with the results."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    images: int
    right: int
    """Number of images that the network reads correctly; without labels, number on which it reads anything."""
    runs: int
    """Number of inferences."""
    kept: tuple[str, ...]
    """Fields of the spec that were not measured, because they are declared."""
    read: tuple[str, ...]
    """Text that the network reads in every image, in symbols."""


def measure(draft: Draft, facts: FileFacts, images: Sequence[Pixels], texts: Sequence[str] | None) -> Measured:
    """Measure the conventions that neither the file nor the user states.

    Args:
        draft: the user's declarations.
        facts: the facts in the file.
        images: (H, W, 3) BGR or (H, W) arrays, uint8.
        texts: the labels of the images; None: there are none, so the network's confidence decides.

    Raises:
        InputError: there are no labels, and the alphabet is not declared.
        VerificationError: no convention reads the images.
        ModelFileError: the model cannot be converted.
    """
    graph = facts.require_network().graph.folded()
    completed, _ = filled(draft, facts)
    steps = graph.output_shape[0]
    if completed.get("skip_steps", 0) >= steps:
        raise InputError(f"{completed['skip_steps']} of {steps} steps are to be skipped; at least one must remain")
    declared = _declared(draft, completed, facts, graph)
    symbols = completed.get("symbols")
    if texts is not None and symbols is not None:
        texts = _as_characters(texts, symbols, completed.get("label_map", {}))
    judge: Judge
    if texts is None:
        if not declared.characters:
            raise InputError("without labels the alphabet cannot be measured; add --alphabet, or give labelled images")
        free = graph.output_shape[1] - 1 - len(symbols or ())
        if free and "unused" not in completed:
            raise InputError(
                f"the alphabet leaves {free} of the network's classes without a symbol, and without labels nothing"
                " shows which: add --unused CLASS for each"
            )
        judge = ByConfidence(declared)
    else:
        judge = ByLabels(texts, declared)
    start = _start(completed, graph)
    with Trials(graph, start, images) as trials:
        search = Search(trials, judge, start, declared)
        best = search.best()
        table = trials.probabilities(best.image, len(images))
        options: dict[str, Mapping[str, Scored]] = {
            **{name: search.around(best, name) for name in _DIMENSIONS},
            "blank": _blanks(best, judge, table, declared),
            "skipped steps": search.around_skip(best),
        }
        findings = [finding(name, best, scored, texts is not None) for name, scored in options.items()]
        notes: list[str] = []
        spelling = best.spelling
        if symbols is None and texts is not None:
            spelling, notes = _settled(best.spelling, table, texts)
    result = _written(completed, best.image, spelling, symbols)
    kept = (*(f"input.{name}" for name in draft.get("input", {})), *(name for name in _SPELLING if name in draft))
    named = _names(spelling, symbols)
    read = sequences(table, spelling.blank, spelling.skip_steps)
    return Measured(
        draft=result,
        findings=tuple(filter(None, findings)),
        notes=tuple(notes),
        images=len(images),
        right=int(best.right.sum()),
        runs=trials.runs,
        kept=kept,
        read=tuple("".join(named.get(place, UNUSED) for place in sequence) for sequence in read),
    )


def _names(spelling: Spelling, symbols: Sequence[str] | None) -> dict[int, str]:
    """Return the symbols by their classes."""
    places = [place for place, character in enumerate(spelling.characters) if character is not None]
    names = symbols or [character for character in spelling.characters if character is not None]
    return dict(zip(places, names, strict=True))


def _declared(draft: Draft, completed: Draft, facts: FileFacts, graph: Graph) -> Declared:
    settings = set(draft.get("input", {}))
    if "function" in settings:  # it replaces all steps
        settings = {field.name for field in fields(InputSpec)}
    if "pixels" in settings or facts.expects_raw_pixels or settings & {"scale", "offset", "standardise"}:
        settings |= {"scale", "offset", "standardise"}
    if settings & {"axes", "rotate"}:
        settings |= {"axes", "rotate"}
    classes = graph.output_shape[1]
    blank = completed.get("blank")
    return Declared(
        frozenset(settings),
        blank,
        completed.get("skip_steps"),
        tuple(_alphabets(completed, classes, blank)),
        None if facts.axes is None else step_axis(graph),
    )


def _alphabets(completed: Draft, classes: int, blank: int | None) -> list[Characters]:
    """Return the declared symbols with the blank and unused classes in all possible places."""
    if "symbols" not in completed:
        return []
    characters = _characters(completed["symbols"])
    blanks = (0, classes - 1) if blank is None else (blank,)
    if "unused" in completed:
        unused = completed["unused"]
        free = [[place for place in range(classes) if place not in (blank, *unused)] for blank in blanks]
        tables = [dict(zip(places, characters, strict=False)) for places in free if len(places) == len(characters)]
        return [tuple(table.get(place) for place in range(classes)) for table in tables]
    spare = classes - 1 - len(characters)
    if spare < 0:
        raise InputError(
            f"the alphabet has {len(characters)} symbols; the network gives {classes} classes with the blank: at most"
            f" {classes - 1} symbols"
        )
    return [placed(characters, classes, blank, front) for blank in blanks for front in range(spare + 1)]


def _characters(symbols: Sequence[str]) -> list[str]:
    """Return a single character for every symbol."""
    if all(len(symbol) == 1 for symbol in symbols):
        return list(symbols)
    return [chr(_PRIVATE + place) for place in range(len(symbols))]


def _as_characters(texts: Sequence[str], symbols: Sequence[str], label_map: Mapping[str, str]) -> list[str]:
    """Spell labels with a single character for every symbol."""
    alphabet = Alphabet(tuple(symbols), len(symbols), label_map)
    characters = _characters(symbols)
    return ["".join(characters[place] for place in alphabet.encode(alphabet.label(text))) for text in texts]


def _start(completed: Draft, graph: Graph) -> InputSpec:
    """Return a spec of the network's shape with all declarations."""
    first, second, channels = graph.input_shape
    image: dict[str, Any] = {
        "width": second, "height": first, "axes": "HWC", "scale": 1.0, "offset": 0.0,
        "colour": "grey" if channels == 1 else "bgr", **completed.get("input", {}),
    }  # fmt: skip
    if (pixels := image.pop("pixels", None)) is not None:  # the colours are still to be measured
        image |= SCALES[pixels].settings(image["colour"])
    for name in ("scale", "offset", "padding", "filters"):
        if isinstance(image.get(name), list):
            image[name] = tuple(image[name])
    if isinstance(image.get("function"), dict):
        image["function"] = Preprocessing(**image["function"])
    return InputSpec(**image)


def _blanks(best: Scored, judge: Judge, table: Any, declared: Declared) -> dict[str, Scored]:
    """Score the network with other blanks."""
    classes = table.shape[2]
    names = {0: "first", classes - 1: "last"}
    options = {}
    for blank in dict.fromkeys((best.spelling.blank, *likely_blanks(table, declared.blank))):
        spelling = best.spelling
        if blank != spelling.blank:
            if declared.characters and not declared.alphabets(blank):
                continue
            spelling = judge.spelling(table, blank, spelling.skip_steps)
        options[names.get(blank, str(blank))] = judge.scored(best.image, spelling, table)
    return options


def _settled(spelling: Spelling, table: Any, texts: Sequence[str]) -> tuple[Spelling, list[str]]:
    """Return the spelling with the alphabet that the labels show, and notes on what they do not show."""
    classes = table.shape[2]
    read = sequences(table, spelling.blank, spelling.skip_steps)
    shown = learned(read, texts, classes, spelling.blank)
    usual = agreeing(shown, list(alphabets(classes, spelling.blank, texts)))
    if len(usual) == 1:
        return replace(spelling, characters=usual[0]), []
    if usual:
        first, second = ("".join(filter(None, characters)) for characters in usual[:2])
        doubt = (
            f"unsure: alphabet {first!r} or {second!r}: no label shows what tells them apart; give --alphabet if the"
            " first is wrong"
        )
        return replace(spelling, characters=usual[0]), [doubt]
    lacking = [place for place, character in enumerate(shown) if character is None and place != spelling.blank]
    notes = [f"alphabet: in no usual order; taken from the labels: {''.join(filter(None, shown))!r}"]
    if lacking:
        places = ", ".join(map(str, lacking[:20]))
        notes.append(
            f"unsure: alphabet, classes {places}: no label shows their characters; they are marked as unused: give more"
            " labels, or --alphabet"
        )
    return replace(spelling, characters=shown), notes


def _written(completed: Draft, image: InputSpec, spelling: Spelling, symbols: Sequence[str] | None) -> Draft:
    """Return the spec with the results."""
    draft = copy.deepcopy(completed)
    draft["input"].pop("pixels", None)
    for name, value in asdict(image).items():
        if value is not None:
            put(draft, f"input.{name}", list(value) if isinstance(value, tuple) else value)
    draft["blank"] = spelling.blank
    draft["skip_steps"] = spelling.skip_steps
    characters = spelling.characters
    draft["symbols"] = [*filter(None, characters)] if symbols is None else list(symbols)
    unused = [place for place, character in enumerate(characters) if character is None and place != spelling.blank]
    if unused:
        draft["unused"] = unused
    return draft
