from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_crnn.reading import Reading
from edge_crnn.watch.finding.merging import merged, overlap
from edge_crnn.watch.sighting import Sighting


def sighting(label: str, confidence: float = 0.99, x: float = 0, width: float = 100, accepted: bool = True) -> Sighting:
    quad = np.array([[x, 0], [x + width, 0], [x + width, 20], [x, 20]], np.float32)
    reading = Reading(label, label, confidence, (), (), accepted=accepted)
    return Sighting(quad, "gate", np.zeros((2, 2, 3), np.uint8), reading, np.zeros((4, 3), np.float32))


def labels(*sightings: Sighting) -> list[str]:
    return [merged_one.reading.label for merged_one in merged(sightings)]


def test_one_sighting_per_plate_and_several_plates() -> None:
    assert labels(sighting("12a3456"), sighting("12a3456", x=5), sighting("98b7654", x=300)) == ["12a3456", "98b7654"]
    (only,) = merged([sighting("12a3456", 0.98), sighting("12a3456", 0.995, x=3)])
    assert only.reading.confidence == 0.995


def test_a_window_that_cuts_the_plate_loses_against_one_that_shows_it_all() -> None:
    assert labels(sighting("12a3456", 0.999, x=20, width=80), sighting("112a3456", 0.98)) == ["112a3456"]


def test_two_windows_outvote_one() -> None:
    assert labels(sighting("12a3456", 0.99), sighting("72a3456", 0.98), sighting("72a3456", 0.98, x=2)) == ["72a3456"]


def test_a_rejected_reading_wins_against_an_accepted_one_only_if_it_goes_on_beyond_it() -> None:
    cut = sighting("12a3456", 0.98, x=20, width=80)
    assert labels(sighting("12a3156", 0.9, accepted=False), cut) == ["12a3456"]
    assert labels(sighting("112a3456", 0.4, accepted=False), cut) == ["112a3456"]
    assert labels(sighting("112a3456", 0.01, accepted=False), cut) == ["12a3456"]


def test_a_symbol_for_what_a_plate_lacks_is_no_part_of_its_text() -> None:
    def plate(label: str, text: str, confidence: float, accepted: bool) -> Sighting:
        whole = sighting(label, confidence, accepted=accepted)
        return replace(whole, reading=replace(whole.reading, text=text))

    assert labels(plate("Z43a7515", "43 a 7515", 0.99, True), plate("B43a7515", "BB 43 a 7515", 0.3, False)) == [
        "B43a7515"
    ]


def test_overlap_is_the_share_of_the_smaller_box() -> None:
    whole, part = sighting("a").quad, sighting("a", x=50, width=20).quad
    assert overlap(whole, part) == overlap(part, whole) == 1
    assert overlap(whole, replace(sighting("a", x=100)).quad) == 0
