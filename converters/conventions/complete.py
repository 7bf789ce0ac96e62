"""Completing a spec from the model file: nothing is asked for that the file states, and nothing is guessed."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from edge_crnn.errors import ModelSpecError
from edge_crnn.model.spec import VERSION, ModelSpec

from ..trained.facts import FileFacts
from .declared import Draft, class_index_of, get, put
from .scales import SCALES

_STATED = (
    "skip_steps", "input.colour", "input.resize", "input.interpolation", "input.rotate", "input.invert",
    "input.standardise",
)  # fmt: skip
"""Fields that a written spec states even if they have their defaults."""


def complete(draft: Draft, facts: FileFacts) -> ModelSpec:
    """Return the whole spec of a model.

    Args:
        draft: the user's declarations, from the spec beside the model and from options.
        facts: the facts in the model's file.

    Raises:
        ModelSpecError: something is missing, and the message lists all of it; or something contradicts the file.
    """
    path = facts.path
    draft, missing = filled(draft, facts)
    if not missing:
        _check_alphabet(draft)
    if missing:
        measure = f"; or measure it on labelled images: edge-crnn spec {path} --labelled DIR"
        raise ModelSpecError(f"{path} does not say {_listed(missing)}{measure}")
    return ModelSpec.from_json(json.dumps(draft), origin=f"spec of {path.name}")


def filled(draft: Draft, facts: FileFacts) -> tuple[Draft, list[str]]:
    """Return a draft with all that follows from the file, and a list, in words, of the facts that it still lacks.

    Raises:
        ModelSpecError: the draft contradicts the file, or itself.
    """
    draft = copy.deepcopy(draft)
    draft.setdefault("version", VERSION)
    draft.setdefault("name", facts.path.stem)
    missing: list[str] = []
    _fill_size(draft, facts, missing)
    _fill_colour(draft, facts, missing)
    _fill_scale(draft, facts, missing)
    _fill_output(draft, facts)
    _fill_alphabet(draft, facts, missing)
    return draft, missing


def _fill_size(draft: Draft, facts: FileFacts, missing: list[str]) -> None:
    """Take the axes from the steps, which run along the width, and the width and height from the shape."""
    turned = get(draft, "input.rotate") in (90, 270)
    if get(draft, "input.axes") is None and facts.axes is not None:
        along_columns = facts.axes == "HWC"
        put(draft, "input.axes", "HWC" if along_columns != turned else "WHC")
    axes = get(draft, "input.axes")
    if axes is None:
        missing.append("along which axis the text runs (--axes)")
        return
    assert facts.shape is not None
    first, second = facts.shape[:2]
    width, height = (second, first) if (axes == "HWC") != turned else (first, second)
    for name, size in (("width", width), ("height", height)):
        declared = get(draft, f"input.{name}")
        if declared is None and size is not None:
            put(draft, f"input.{name}", size)
        elif declared is None:
            missing.append(f"the {name} of its image (--{name})")
        elif size is not None and declared != size:
            raise ModelSpecError(
                f"the spec says {name} {declared} with axes {axes}; the network takes {facts.shape}: correct the spec"
            )


def _fill_colour(draft: Draft, facts: FileFacts, missing: list[str]) -> None:
    if get(draft, "input.colour") is None:
        if facts.shape is not None and facts.shape[2] == 1:
            put(draft, "input.colour", "grey")
        else:
            missing.append("the order of its colours (--colour bgr|rgb)")


def _fill_scale(draft: Draft, facts: FileFacts, missing: list[str]) -> None:
    image: Draft = draft.setdefault("input", {})
    pixels = image.get("pixels")
    if pixels is None and (facts.expects_raw_pixels or image.get("function") is not None):
        pixels = "raw" if "scale" not in image else None
    if pixels is not None and "colour" in image:
        image.pop("pixels", None)
        for name, value in SCALES[pixels].settings(image["colour"]).items():
            value = list(value) if isinstance(value, tuple) else value  # as JSON has it
            if image.setdefault(name, value) != value:
                raise ModelSpecError(f"the spec says {name} {image[name]!r}, pixels {pixels} says {value!r}; keep one")
    if image.get("standardise"):
        image.setdefault("scale", 1.0)
    if "scale" in image:
        image.setdefault("offset", 0.0)
    elif pixels is None:
        missing.append("how pixels are scaled (--pixels, or --scale and --offset)")


def _fill_output(draft: Draft, facts: FileFacts) -> None:
    for name, number in (("steps", facts.steps), ("classes", facts.classes)):
        declared = get(draft, f"output.{name}")
        if number is None:  # the size of the image is still open
            continue
        if declared is None:
            put(draft, f"output.{name}", number)
        elif declared != number:
            raise ModelSpecError(f"the spec says {declared} {name}; the network gives {number}: correct the spec")


def _fill_alphabet(draft: Draft, facts: FileFacts, missing: list[str]) -> None:
    classes = facts.classes
    if classes is None:
        return
    if "symbols" not in draft and facts.vocabulary:
        _take_vocabulary(draft, facts, classes)
    if "blank" not in draft and facts.blank is not None:
        draft["blank"] = facts.blank
    if "blank" not in draft:
        missing.append("the class of its blank (--blank first|last)")
    else:
        draft["blank"] = _index(draft["blank"], classes)
    if "unused" in draft:
        draft["unused"] = sorted({_index(place, classes) for place in draft["unused"]})
    if "symbols" not in draft:
        missing.append(f"its alphabet of {classes - 1 - len(draft.get('unused', []))} symbols (--alphabet)")
        return
    if "unused" in draft or len(draft["symbols"]) >= classes:
        _check_alphabet(draft)


def _check_alphabet(draft: Draft) -> None:
    """Check that every class is a symbol, the blank or unused."""
    classes = draft["output"]["classes"]
    symbols = len(draft["symbols"])
    unused = len(draft.get("unused", []))
    if symbols + unused + 1 != classes:
        raise ModelSpecError(
            f"the alphabet has {symbols} symbols{f' and {unused} unused classes' if unused else ''}, which with the"
            f" blank is {symbols + unused + 1} classes; the network gives {classes}: correct the alphabet, or mark"
            " classes that no text has by --unused CLASS"
        )


def _take_vocabulary(draft: Draft, facts: FileFacts, classes: int) -> None:
    """Take the alphabet of a lookup layer; its classes for unknown characters occur in no text."""
    assert facts.vocabulary is not None
    words = facts.vocabulary
    if len(words) == classes and words[0] is None:  # the blank shares class 0 with what no label has
        draft.setdefault("blank", 0)
        words = words[1:]
        first = 1
    elif len(words) + 1 == classes:
        blank = _index(draft.get("blank", facts.blank or "last"), classes)
        first = int(blank == 0)
    else:
        return
    draft["symbols"] = [word for word in words if word is not None]
    unused = [place for place, word in enumerate(words, first) if word is None]
    if unused and "unused" not in draft:
        draft["unused"] = unused


def _index(place: int | str, classes: int) -> int:
    index = class_index_of(place, classes)
    if index is None or not 0 <= index < classes:
        raise ModelSpecError(f"class {place!r} of {classes}; expected first, last or 0 to {classes - 1}")
    return index


def _listed(words: Sequence[str]) -> str:
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def essential(spec: ModelSpec) -> str:
    """Return the JSON form of a spec as a person would write it: without fields that have their defaults.

    Fields that decide how an image is read are always there, so that an option that contradicts them is noticed.
    """
    data = json.loads(spec.to_json())
    kept = {name: value for name, value in data.items() if name in _STATED or not _is_default(ModelSpec, name, value)}
    for name, kind in (("input", type(spec.input)), ("output", type(spec.output)), ("decoder", type(spec.decoder))):
        if name in kept:
            kept[name] = {
                field: value
                for field, value in kept[name].items()
                if f"{name}.{field}" in _STATED or not _is_default(kind, field, value)
            }
    return json.dumps(kept, ensure_ascii=False, indent=1, allow_nan=False)


def _is_default(kind: Any, name: str, value: Any) -> bool:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if name not in fields:
        return False
    field = fields[name]
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
        default = dataclasses.asdict(default) if dataclasses.is_dataclass(default) else default  # type: ignore[arg-type]
        if isinstance(value, dict) and isinstance(default, dict):
            return value == {key: part for key, part in default.items() if part is not None}
    else:
        return False
    return bool(value == (list(default) if isinstance(default, tuple) else default))
