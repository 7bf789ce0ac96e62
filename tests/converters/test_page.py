from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from converters.page import page
from converters.verify import Gate, Readings, Verification, compare
from edge_crnn.artifact import Artifact, load
from edge_crnn.dataset import Dataset, Entry

HOSTILE = '<script>alert("1")</script>&amp;\'"'


class Page(HTMLParser):
    """Everything that a browser would see: elements with their attributes, and texts, in their order."""

    VOID = frozenset({"meta", "img", "br"})
    OPTIONAL = frozenset({"th", "td"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.figures: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "figure":
            self.figures.append("")
        if tag not in self.VOID | self.OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "figure" in self.open:
            self.figures[-1] += f"{data}\n"

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def verification(
    tmp_path: Path, truth: list[str], reference: list[str], artifact: list[str], name: str = "{}.png"
) -> tuple[Verification, list[Readings]]:
    import cv2

    entries = []
    for index, label in enumerate(truth):
        path = tmp_path / name.format(index)
        path.write_bytes(cv2.imencode(".png", np.full((4, 6), index % 256, np.uint8))[1].tobytes())
        entries.append(Entry(path, label))
    zeros = np.zeros((len(truth), 2, 11), np.float32)
    ours = [Readings(tuple(artifact), zeros)]
    return compare([Dataset(tmp_path, tuple(entries))], [Readings(tuple(reference), zeros)], ours, Gate()), ours


@pytest.fixture
def artifact(tiny_artifact: Path) -> Artifact:
    return load(tiny_artifact)


def test_verdict_comes_first_and_numbers_follow(artifact: Artifact, tmp_path: Path) -> None:
    found, ours = verification(tmp_path, ["1", "2", "3"], ["1", "2", "4"], ["1", "5", "4"])
    shown = Page(page(artifact, found, ours))
    assert not shown.open  # every element is closed
    assert shown.texts.index("fail") < next(i for i, each in enumerate(shown.texts) if "trained model right" in each)
    assert "fail: the same text on 50.00% of the images that the trained model reads right" in shown.text
    assert "McNemar's exact p is 1" in shown.text
    assert f"{len(artifact.payload):,} bytes" in shown.text
    for row in (
        "images3",
        "trained model right66.67%",
        "artifact right33.33%",
        "same text66.67%",
        "same where right1 of 2",
    ):
        assert row in shown.text


def test_changed_images_show_the_truth_and_both_texts(artifact: Artifact, tmp_path: Path) -> None:
    found, ours = verification(tmp_path, ["11", "22", "33"], ["11", "22", "44"], ["11", "55", ""])
    shown = Page(page(artifact, found, ours))
    assert "Images that read differently (2)" in shown.text
    first, second, rest = shown.figures
    assert first.split() == ["is", "22", "trained", "22", "artifact", "55", "1.png"]
    assert second.split() == ["is", "33", "trained", "44", "artifact", "nothing", "2.png"]
    assert rest.split("\n")[:2] == ["11", "0.png"]


def test_texts_are_those_that_people_read(artifact: Artifact, tmp_path: Path) -> None:
    korean = replace(artifact, spec=replace(artifact.spec, label_map={"1": "서울 "}))
    found, ours = verification(tmp_path, ["12", "2"], ["12", "2"], ["2", "2"])
    figure = Page(page(korean, found, ours)).figures[0]
    assert figure.split() == ["is", "서울", "2", "trained", "서울", "2", "artifact", "2", "0.png"]


def test_labels_that_read_alike_are_told_apart(artifact: Artifact, tmp_path: Path) -> None:
    """Z on a Korean plate has no sound: without it another label is the same text."""
    silent = replace(artifact, spec=replace(artifact.spec, label_map={"0": ""}))
    found, ours = verification(tmp_path, ["012", "2"], ["012", "2"], ["12", "2"])
    figure = Page(page(silent, found, ours)).figures[0]
    assert figure.split() == ["is", "012", "trained", "012", "artifact", "12", "0.png"]


def test_nothing_is_loaded_from_elsewhere(artifact: Artifact, tmp_path: Path) -> None:
    found, ours = verification(tmp_path, ["1", "2"], ["1", "2"], ["1", "3"])
    html = page(artifact, found, ours)
    assert "http" not in html
    assert "url(" not in html
    elements = Page(html).elements
    assert {tag for tag, _ in elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    pictures = [attributes for tag, attributes in elements if tag == "img"]
    assert len(pictures) == 2
    assert all((attributes["src"] or "").startswith("data:image/png;base64,iVBOR") for attributes in pictures)
    assert not any(name.startswith("on") for _, attributes in elements for name in attributes)


def test_hostile_names_and_labels_are_only_text(artifact: Artifact, tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE.replace("/", "")
    folder.mkdir()
    symbols = (*artifact.spec.symbols[:-1], HOSTILE)
    path = tmp_path / f"{HOSTILE.replace('/', '')}.tflite"
    hostile = replace(artifact, path=path, spec=replace(artifact.spec, name=HOSTILE, symbols=symbols))
    name = HOSTILE.replace("/", "") + "{}.png"
    found, ours = verification(folder, [HOSTILE, "2"], [HOSTILE, "2"], ["2", "2"], name)
    html = page(hostile, found, ours)
    shown = Page(html)
    assert "script" not in {tag for tag, _ in shown.elements}
    assert "<script" not in html
    assert HOSTILE in shown.text  # as it is, to be read
    assert any(attributes.get("alt", "") == name.format(0) for tag, attributes in shown.elements if tag == "img")


def test_a_sample_of_the_rest_comes_from_every_set(artifact: Artifact, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (first, a), (second, b) = (
        verification(each, ["1"] * n, ["1"] * n, ["1"] * n) for each, n in ((one, 300), (two, 30))
    )
    zeros = [
        Readings(tuple("1" * len(each)), np.zeros((len(each), 2, 11), np.float32))
        for each in (*first.datasets, *second.datasets)
    ]
    found = compare([*first.datasets, *second.datasets], zeros, zeros, Gate())
    shown = Page(page(artifact, found, [*a, *b]))
    assert "None." in shown.text
    assert len(shown.figures) == 40
    numbers = [int(each.split("\n")[1].partition(".")[0]) for each in shown.figures]
    assert max(numbers[:20]) > 250  # from all of the folder, not its first files alone


def test_pictures_that_no_browser_shows_are_named(artifact: Artifact, tmp_path: Path) -> None:
    found, ours = verification(tmp_path, ["1", "2"], ["1", "2"], ["1", "3"], "{}.tif")
    shown = Page(page(artifact, found, ours))
    assert "img" not in {tag for tag, _ in shown.elements}
    assert "1.tif" in shown.figures[0]


def test_too_few_images_are_told_what_they_show(artifact: Artifact, tmp_path: Path) -> None:
    found, ours = verification(tmp_path, ["1", "2"], ["1", "2"], ["1", "2"])
    text = Page(page(artifact, found, ours)).text
    assert "underpowered" in text
    assert "That shows an agreement of at least 22.36%: more images would show more." in text
