from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.errors import DatasetError, InputError
from edge_crnn.labels.rules import LabelRules
from edge_crnn.labels.texts import load_texts

Pairs = Sequence[tuple[str, str]]
IMAGES = ("1.jpg", "서브/각 2.png", "x,y;z.png", 'q"q.bmp', "sub/deep/#3.tif", "é.webp")


def folder_of(folder: Path, *names: str, **tables: str) -> Path:
    """Write empty files, and tables whose names have _ for the dot."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name, content in tables.items():
        (folder / name.replace("_", ".")).write_bytes(content.encode())
    return folder


def texts_and_notes(folder: Path, rules: LabelRules | None = None) -> tuple[dict[str, str], list[str]]:
    """Return the text by image, and the notes."""
    notes: list[str] = []
    texts = load_texts(folder, rules or LabelRules(), notes.append)
    return {path.relative_to(folder).as_posix(): text for path, text in texts}, notes


def as_csv(pairs: Pairs, delimiter: str, quoting: int = csv.QUOTE_ALL) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows([("image", "label"), *pairs])  # type: ignore[arg-type]
    return text.getvalue()


FORMATS: dict[str, tuple[str, Callable[[Pairs], str]]] = {
    "comma": ("labels.csv", lambda pairs: as_csv(pairs, ",")),
    "semicolon": ("labels.csv", lambda pairs: as_csv(pairs, ";")),
    "tab": ("labels.tsv", lambda pairs: as_csv(pairs, "\t")),
    "map": ("labels.json", lambda pairs: json.dumps(dict(pairs))),
    "objects": ("labels.json", lambda pairs: json.dumps([{"path": image, "text": text} for image, text in pairs])),
    "lines": ("labels.jsonl", lambda pairs: "\n".join(json.dumps({"file": i, "words": t}) for i, t in pairs)),
}
"""Formats that take any label: name of the file, and what it holds."""

STRIPPED: dict[str, tuple[str, Callable[[Pairs], str]]] = {
    "as few quotes as possible": ("labels.csv", lambda pairs: as_csv(pairs, ",", csv.QUOTE_MINIMAL)),
    "list": ("labels.txt", lambda pairs: "\n".join(f"{image}\t{text}" for image, text in pairs)),
    "list with CRLF": ("gt.txt", lambda pairs: "".join(f"{image}\t{text}\r\n" for image, text in pairs)),
    "list in .tsv": ("labels.tsv", lambda pairs: "\n".join(f"{image}\t{text}" for image, text in pairs)),
    "rec_gt": ("rec_gt_train.txt", lambda pairs: "\n".join(f"{image}\t{text}" for image, text in pairs)),
}
"""Formats that do not keep outer white space."""

anything = st.text(alphabet='ab ,;\t"#|\\\n\u2028\u3000é가', min_size=1)
one_line = st.text(alphabet='ab ,;"#|\\\u2028\u3000é가', min_size=1).map(str.strip).filter(bool)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(("name", "write"), FORMATS.values(), ids=FORMATS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_label_comes_back(
    tmp_path: Path, name: str, write: Callable[[Pairs], str], form: str, data: st.DataObject
) -> None:
    texts = [data.draw(anything) for _ in IMAGES]
    folder_of(tmp_path, *(unicodedata.normalize(form, image) for image in IMAGES))
    (tmp_path / name).write_text(write(list(zip(IMAGES, texts, strict=True))), encoding="utf-8", newline="")
    read, notes = texts_and_notes(tmp_path)
    assert list(read.values()) == [unicodedata.normalize("NFC", text) for text in texts]
    assert [unicodedata.normalize("NFC", image) for image in read] == list(IMAGES)
    assert notes == []


@pytest.mark.parametrize(("name", "write"), STRIPPED.values(), ids=STRIPPED)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_label_without_outer_white_space_comes_back(
    tmp_path: Path, name: str, write: Callable[[Pairs], str], data: st.DataObject
) -> None:
    pairs = [(image, data.draw(one_line)) for image in IMAGES]
    folder_of(tmp_path, *IMAGES)
    (tmp_path / name).write_text("\ufeff" + write(pairs), encoding="utf-8", newline="")
    assert texts_and_notes(tmp_path) == (dict(pairs), [])


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=60), name=st.sampled_from(["labels.csv", "labels.txt", "labels.json", "words.txt"]))
def test_no_table_gives_another_error(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    folder = folder_of(tmp_path_factory.mktemp("any"), "a.png")
    (folder / name).write_bytes((b"image,label\n" if name == "labels.csv" else b"") + data)
    refused = ""
    read: dict[str, str] = {}
    try:
        read, _ = texts_and_notes(folder)
    except DatasetError as error:
        refused = str(error)
    assert str(folder) in refused or read.keys() == {"a.png"}


def test_words_of_iam(tmp_path: Path) -> None:
    lines = "#\na01-000u-00-00 ok 154 408 768 27 51 AT A\na01-000u-00-01 err 1 2 3 4 5 NN b\n"
    lines += "a01-000u-00-02 ok 154 1 2 3 4 NN to stop\nz99-000-00-00 ok 154 1 2 3 4 NN c\n"
    images = [f"a01/a01-000u/a01-000u-00-0{index}.png" for index in range(3)]
    read, notes = texts_and_notes(folder_of(tmp_path, *images, words_txt=lines))
    assert read == {images[0]: "A", images[2]: "to stop"}
    assert notes == [
        "words.txt: 1 lines with the status err are left out",
        f"words.txt: 1 lines name an image that is not in {tmp_path}; they are left out",
        f"{tmp_path}: 1 images have no line in words.txt, such as {tmp_path / images[1]}; left out",
    ]


def test_a_list_of_iam_by_another_name(tmp_path: Path) -> None:
    folder_of(tmp_path, "words/a01/a01-000u/a01-000u-00-00.png")
    (tmp_path / "ascii.txt").write_text("a01-000u-00-00 ok 154 408 768 27 51 AT A\n")
    read, _ = texts_and_notes(tmp_path / "words", LabelRules(table=tmp_path / "ascii.txt"))
    assert list(read.values()) == ["A"]


def test_a_named_table_is_looked_for_in_the_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "images", "a.png", mine_txt="a.png\tinside", labels_csv="image,label\na.png,usual")
    (tmp_path / "mine.txt").write_text("a.png\toutside")
    (tmp_path / "other.txt").write_text("a.png\tother")
    monkeypatch.chdir(tmp_path)
    assert texts_and_notes(folder)[0] == {"a.png": "usual"}
    assert texts_and_notes(folder, LabelRules(table=Path("mine.txt")))[0] == {"a.png": "inside"}
    assert texts_and_notes(folder, LabelRules(table=Path("other.txt")))[0] == {"a.png": "other"}
    assert texts_and_notes(folder, LabelRules(table=tmp_path / "mine.txt"))[0] == {"a.png": "outside"}
    with pytest.raises(DatasetError, match=r"none\.txt: no such table of labels, neither in .*images nor from"):
        texts_and_notes(folder, LabelRules(table=Path("none.txt")))


def test_two_tables_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", labels_csv="image,label\na.png,1\n", gt_txt="a.png\t2\n")
    with pytest.raises(DatasetError, match=r"2 tables of labels, labels\.csv and gt\.txt; name one .*--labels FILE"):
        texts_and_notes(tmp_path)
    (tmp_path / "labels.csv").unlink()
    for part in ("train", "test"):
        (tmp_path / f"rec_gt_{part}.txt").write_text("a.png\t3\n")
    with pytest.raises(DatasetError, match=r"3 tables of labels, gt\.txt and rec_gt_test\.txt and rec_gt_train\.txt"):
        texts_and_notes(tmp_path)
    assert texts_and_notes(tmp_path, LabelRules(table=Path("rec_gt_test.txt")))[0] == {"a.png": "3"}


def test_images_without_a_line_are_reported(tmp_path: Path) -> None:
    folder_of(tmp_path, "train/1.png", "train/2.png", "train/3.png", "test/4.png")
    (tmp_path / "rec_gt_train.txt").write_text("train/2.png\tAB\n")
    read, notes = texts_and_notes(tmp_path)
    assert read == {"train/2.png": "AB"}
    assert notes == [
        f"{tmp_path}: 2 images have no line in rec_gt_train.txt, such as {tmp_path / 'train/1.png'}; left out"
    ]


def test_file_names_by_a_pattern(tmp_path: Path) -> None:
    folder_of(tmp_path, "0001_ABC123.jpg", unicodedata.normalize("NFD", "2_각.png"))
    assert list(texts_and_notes(tmp_path, LabelRules("{index}_{label}"))[0].values()) == ["ABC123", "각"]
    folder_of(tmp_path, labels_csv="image,label\n")
    read, notes = texts_and_notes(tmp_path, LabelRules("{index}_{label}"))
    assert len(read) == 2
    assert notes == [f"{tmp_path}: labels come from the file names, labels.csv is not used"]


def test_a_name_that_does_not_match_the_pattern(tmp_path: Path) -> None:
    folder_of(tmp_path, "1_A.png", "B.png")
    with pytest.raises(DatasetError, match=r"B\.png: the name does not match the label pattern '\{index\}_\{label\}'"):
        texts_and_notes(tmp_path, LabelRules("{index}_{label}"))
    with pytest.raises(DatasetError, match=r"1 images have an empty label, such as .*B\.png"):
        texts_and_notes(tmp_path, LabelRules(r"(?:1_(?P<label>.))|B"))


def test_case_is_folded(tmp_path: Path) -> None:
    folder_of(tmp_path, "aBé.png", "straße.png")
    assert list(texts_and_notes(tmp_path, LabelRules(fold_case="upper"))[0].values()) == ["ABÉ", "STRASSE"]
    assert list(texts_and_notes(tmp_path, LabelRules(fold_case="lower"))[0].values()) == ["abé", "straße"]


def test_rules_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="expected once"):
        LabelRules("{any}")
    with pytest.raises(InputError, match="give one of the two"):
        LabelRules("{label}", table=Path("labels.csv"))


def test_the_white_space_inside_of_a_label_stays(tmp_path: Path) -> None:
    folder_of(tmp_path, "1234 2.jpg", "a.png")
    assert texts_and_notes(tmp_path)[0] == {"1234 2.jpg": "1234 2", "a.png": "a"}
    folder_of(tmp_path, labels_txt="a.png\t 12  34 \n")
    assert texts_and_notes(tmp_path)[0] == {"a.png": "12  34"}


BAD: dict[str, tuple[str, str | bytes, str]] = {
    "empty csv": ("labels.csv", "", r"labels\.csv: the first line is '', expected the names of columns, one of image,"),
    "no header": ("labels.csv", "a.png,12\n", r"the first line is 'a\.png,12', expected the names of columns"),
    "two headers": ("labels.csv", "image,file,label\n", r"the first line is 'image,file,label'"),
    "no line": ("labels.csv", "image,label\n", r"labels\.csv: names no image of "),
    "empty list": ("labels.txt", "\n", r"labels\.txt: names no image of "),
    "missing file": ("labels.csv", "image;label\na.png;12\nc.png;34\n", r"line 3: image 'c\.png' is not in the folder"),
    "missing file of a map": ("labels.json", '{"c.png": "34"}', r"json, entry 1: image 'c\.png' is not in the folder"),
    "twice": (
        "labels.txt",
        "a.png 1\nb.png 3\n./a.png 1\n",
        r"line 3: image '\./a\.png' occurs a second time; keep one",
    ),
    "no label": ("labels.csv", "image,label\na.png,\n", r"line 2: image 'a\.png' has no label; write it or drop"),
    "short line": ("labels.csv", "image,label\na.png\n", r"line 2: image 'a\.png' has no label"),
    "surplus": ("labels.csv", "image,label\na.png,1,234\n", r"line 2: 3 fields, but the first line has 2"),
    "no image": ("labels.txt", "notes.txt\tx\n", r"line 1: 'notes\.txt' is no image, expected .*\.bmp"),
    "hidden": ("labels.txt", ".a.png\tx\n", r"line 1: '\.a\.png' is no image"),
    "CP949": ("labels.csv", "image,label\na.png,서울\n".encode("cp949"), r"cannot be read \(.*save it in UTF-8"),
    "UTF-16": ("labels.txt", "a.png\tx\n".encode("utf-16"), r"cannot be read \(.*save it in UTF-8"),
    "a folder up": ("labels.csv", "image,label\n../a.png,12\n", r"line 2: image '\.\./a\.png' is outside the folder"),
    "no word": ("words.txt", "A\nMOVE\n", r"words\.txt, line 1: 'A' is no word of IAM"),
}


@pytest.mark.parametrize(("name", "table", "message"), BAD.values(), ids=BAD)
def test_bad_tables(tmp_path: Path, name: str, table: str | bytes, message: str) -> None:
    folder_of(tmp_path, "a.png", "b.png", "notes.txt", ".a.png")
    (tmp_path / name).write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DatasetError, match=message):
        texts_and_notes(tmp_path)


def test_images_in_subfolders(tmp_path: Path) -> None:
    """frigate#11270: dated subfolders were skipped without a word."""
    folder_of(tmp_path, "AB.png", "30/CD.png", "30/am/AB.png", "31/notes.txt")
    texts, notes = texts_and_notes(tmp_path)
    assert list(texts.values()) == ["AB"]
    assert "2 subfolders, which --recursive reads" in notes[0]
    notes = []
    pairs = load_texts(tmp_path, LabelRules(recursive=True), notes.append)
    assert [(path.relative_to(tmp_path).as_posix(), text) for path, text in pairs] == [
        *(("30/CD.png", "CD"), ("30/am/AB.png", "AB"), ("AB.png", "AB"))
    ]
    assert "1 .txt" in notes[0]


def test_a_table_in_a_subfolder_is_no_silent_loss(tmp_path: Path) -> None:
    """The names of its images would be taken for their labels."""
    folder_of(tmp_path, "30/0001.png")
    (tmp_path / "30" / "labels.csv").write_text("image,label\n0001.png,AB\n")
    with pytest.raises(DatasetError, match=r"labels\.csv: .*--label-pattern"):
        load_texts(tmp_path, LabelRules(recursive=True))
    assert len(load_texts(tmp_path, LabelRules("{label}", recursive=True))) == 1
