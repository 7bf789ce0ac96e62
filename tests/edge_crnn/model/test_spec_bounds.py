"""The bounds of numbers in specs, and the characters that symbols and texts must not have."""

from __future__ import annotations

import pytest

from edge_crnn.bounds import BATCH, BEAM_WIDTH, CLASSES, PIXELS, SIDE, STEPS, Bounds
from edge_crnn.errors import ModelSpecError
from edge_crnn.model.spec import ModelSpec
from tests.edge_crnn.model.test_spec import IMAGE, changed

BOUNDED: dict[str, Bounds] = {
    "decoder.beam_width": BEAM_WIDTH,
    "output.steps": STEPS,
    "output.classes": CLASSES,
    "input.width": SIDE,
    "input.height": SIDE,
    "artifact.batch": BATCH,
    "output.quantisation.zero_point": Bounds(-128, 127),
}


@pytest.mark.parametrize("where", BOUNDED)
def test_numbers_have_bounds(where: str) -> None:
    least, most = BOUNDED[where]
    for number in (least - 1, most + 1, 10**6, 10**18, 2**63, 2**70, -(2**70), 10**30, 10**4000):
        with pytest.raises(ModelSpecError, match=rf"{where.split('.')[-1]}.*expected") as caught:
            ModelSpec.from_json(changed(where, number))
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "where", ["parity.sets.0.images", "confidence.reliability.0.readings", "artifact.calibration.images", "blank"]
)
def test_no_number_takes_more_than_64_bits(where: str) -> None:
    for number in (2**63, 2**70, -(2**63) - 1, 10**30, 10**4000):
        with pytest.raises(ModelSpecError, match=rf"{where.split('.')[-1]}: found -?\d+…?, expected int") as caught:
            ModelSpec.from_json(changed(where, number))
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *(("input.scale", value) for value in (1e31, -1e308, 1e-31, -1e-320)),
        *(("input.offset", value) for value in (1e31, -1e308)),
        *(("output.quantisation.scale", value) for value in (0.0, -1.0, 1e31, 1e-320)),
    ],
)
def test_factors_that_float32_cannot_hold_are_rejected(where: str, value: float) -> None:
    with pytest.raises(ModelSpecError, match=r"scale .*expected"):
        ModelSpec.from_json(changed(where, value))


def test_the_largest_beam_and_canvas_are_accepted() -> None:
    assert ModelSpec.from_json(changed("decoder.beam_width", BEAM_WIDTH.most)).decoder.beam_width == 1000
    image = {**IMAGE, "width": SIDE.most, "height": PIXELS.most // SIDE.most}
    assert ModelSpec.from_json(changed("input", image)).input.width == SIDE.most


@pytest.mark.parametrize("control", ["\0", "\x1b", "\x9b", "\u202e", "\u2028"])
def test_control_characters_in_symbols_and_texts_are_rejected(control: str) -> None:
    code = f"U\\+{ord(control):04X}"
    with pytest.raises(ModelSpecError, match=code):
        ModelSpec.from_json(changed("symbols", ["0", "1", "2", "3", "나", f"A{control}"]))
    with pytest.raises(ModelSpecError, match=code):
        ModelSpec.from_json(changed("label_map", {"A": f"서울{control}"}))
