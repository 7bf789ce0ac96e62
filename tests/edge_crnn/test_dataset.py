from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_crnn.alphabet import KOREAN_PLATES, Alphabet
from edge_crnn.dataset import (
    LabelRules,
    content_hash,
    content_hashes,
    find_images,
    load_labelled,
    load_unlabelled,
    refuse_overlap,
    refuse_repeats,
)
from edge_crnn.errors import DatasetError

DIGITS = Alphabet(tuple("0123456789"), blank=10)
PLATES = Alphabet((*"0123456789ABCDEFGHIJKLMNOPZ", *"abcdefghijklmnopqrstuvwxyz"), 53, KOREAN_PLATES)


def folder_of(folder: Path, *names: str, table: str | bytes | None = None) -> Path:
    """A folder of files whose content is their name; nothing here decodes them."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    if table is not None:
        (folder / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return folder


def labels(folder: Path, alphabet: Alphabet = DIGITS) -> dict[str, str]:
    return {image.path.name: image.label for image in load_labelled(folder, alphabet)}


def test_images_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    names = ["10.jpg", "2.PNG", "1.jpeg", "3.bmp", "4.webp", "5.tif", "6.TIFF", "7.pgm", "8.ppm"]
    folder_of(tmp_path, *names, "notes.txt", "labels.xlsx", ".hidden.png", "._1.jpeg", "png")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in find_images(tmp_path)] == sorted(names)


def test_the_order_is_the_same_in_both_forms_of_unicode(tmp_path: Path) -> None:
    names = ["가1.png", "각2.png", "나3.png", "é.png", "f.png"]
    orders = []
    for form in ("NFC", "NFD"):
        folder = folder_of(tmp_path / form, *(unicodedata.normalize(form, name) for name in names))
        orders.append([unicodedata.normalize("NFC", path.name) for path in find_images(folder)])
    assert orders[0] == orders[1] == sorted(names)


@pytest.mark.parametrize("name", ["missing", "file.png"])
def test_no_such_folder(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, "file.png")
    with pytest.raises(DatasetError, match=rf"{name}: cannot be read \(.*name a folder"):
        find_images(tmp_path / name)


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no image among 1 file, expected \.avif, \.bmp"):
        load_labelled(folder_of(tmp_path, "a.txt", ".b.png"), DIGITS)


def test_labels_from_file_names(tmp_path: Path) -> None:
    dataset = load_labelled(folder_of(tmp_path, "34.png", "12.jpg"), DIGITS)
    assert [(image.path.name, image.label) for image in dataset] == [("12.jpg", "12"), ("34.png", "34")]
    assert len(dataset) == 2
    assert dataset.paths == [tmp_path / "12.jpg", tmp_path / "34.png"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_file_names_as_a_person_writes_the_plate(tmp_path: Path, form: str) -> None:
    names = [unicodedata.normalize(form, name) for name in ("서울18나6897.jpg", "A18sk6898.jpg")]
    assert sorted(labels(folder_of(tmp_path, *names), PLATES).values()) == ["A18sk6897", "A18sk6898"]


def test_a_symbol_outside_the_alphabet_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"the alphabet does not have: 'x' 1; such as '12x4' of .*12x4\.png"):
        load_labelled(folder_of(tmp_path, "1234.png", "12x4.png"), DIGITS)


def test_rules_reach_the_labels(tmp_path: Path) -> None:
    folder_of(tmp_path, "1_a-B.png", table="image,label\n")
    notes: list[str] = []
    rules = LabelRules("{index}_{label}", fold_case="upper", drop_unknown=True)
    (entry,) = load_labelled(tmp_path, Alphabet(tuple("AB"), 0), rules, notes.append)
    assert entry.label == "AB"
    assert [note.partition(": ")[2] for note in notes] == [
        "labels come from the file names, labels.csv is not used",
        "dropped 1 characters that the alphabet does not have: '-' 1",
    ]


def test_notes_go_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels(folder_of(tmp_path, "a.png", "unnamed.png", table="image,label\na.png,1\n"))
    assert capsys.readouterr().err.startswith(f"edge-crnn: {tmp_path}: 1 images have no line in labels.csv")


def test_a_folder_without_labels(tmp_path: Path) -> None:
    dataset = load_unlabelled(folder_of(tmp_path, "b.png", "a.jpg"))
    assert not dataset.labelled
    assert [(image.path.name, image.label) for image in dataset] == [("a.jpg", ""), ("b.png", "")]
    with pytest.raises(DatasetError, match="no image among"):
        load_unlabelled(folder_of(tmp_path / "x"))


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_labels_from_a_table(tmp_path: Path, bom: bytes, newline: str) -> None:
    lines = ["image,label,remark", "b.png,34,", 'a.png, 12 ,"a, b"', ""]
    folder_of(tmp_path, "a.png", "b.png", table=bom + newline.join(lines).encode())
    assert labels(tmp_path) == {"b.png": "34", "a.png": "12"}


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_a_table_in_korean(tmp_path: Path, on_disk: str, in_table: str) -> None:
    table = unicodedata.normalize(in_table, "label,image\n경기 78 부 5921,사진 1.jpg\n")
    folder_of(tmp_path, unicodedata.normalize(on_disk, "사진 1.jpg"), table=table)
    assert list(labels(tmp_path, PLATES).values()) == ["B78qn5921"]


def test_images_are_decoded_only_when_they_are_used(tmp_path: Path) -> None:
    folder_of(tmp_path, "1.png")
    picture = np.full((3, 4, 3), 50, np.uint8)
    (tmp_path / "2.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    _, second = load_labelled(tmp_path, DIGITS)  # the first is no image
    assert np.array_equal(second.load(), picture)


def test_content_hash_depends_on_contents_alone(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "one", "a.png", "b.png")
    two = tmp_path / "two"
    two.mkdir()
    (two / "x.png").write_bytes(b"b.png")
    (two / "y.png").write_bytes(b"a.png")
    assert content_hash(find_images(one)) == content_hash(reversed(find_images(two)))
    digests = sorted(hashlib.sha256(name).hexdigest() for name in (b"a.png", b"b.png"))
    assert content_hash(find_images(one)) == hashlib.sha256("".join(digests).encode()).hexdigest()
    (two / "z.png").write_bytes(b"a.png")
    assert content_hash(find_images(one)) != content_hash(find_images(two))


def test_content_hashes_lead_to_the_first_file(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "b.png")
    (tmp_path / "c.png").write_bytes(b"a.png")
    assert content_hashes(find_images(tmp_path)) == {
        hashlib.sha256(b"a.png").hexdigest(): tmp_path / "a.png",
        hashlib.sha256(b"b.png").hexdigest(): tmp_path / "b.png",
    }


def test_overlap_is_refused(tmp_path: Path) -> None:
    calibration = folder_of(tmp_path / "calibration", "a.png", "b.png", "c.png")
    verification = folder_of(tmp_path / "verification", "d.png")
    refuse_overlap(find_images(calibration), find_images(verification))
    (verification / "renamed.png").write_bytes(b"b.png")
    (verification / "c.png").write_bytes(b"c.png")
    with pytest.raises(DatasetError) as caught:
        refuse_overlap(find_images(calibration), find_images(verification))
    assert str(caught.value).startswith(
        f"2 images are in both sets, such as {verification / 'c.png'} (for calibration: {calibration / 'c.png'});"
    )


def test_a_file_that_went_away(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.png: cannot be read"):
        content_hash([tmp_path / "gone.png"])


def test_an_image_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for name, data in (("a.png", b"1"), ("b.png", b"2"), ("c.png", b"1")):
        (tmp_path / name).write_bytes(data)
    refuse_repeats([tmp_path / "a.png", tmp_path / "b.png"])
    with pytest.raises(DatasetError, match=r"1 images occur more than once, such as .*c\.png \(also .*a\.png\)"):
        refuse_repeats(sorted(tmp_path.iterdir()))
