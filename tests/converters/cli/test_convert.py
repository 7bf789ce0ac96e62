"""`edge-crnn convert` on a real trained model, with real Keras as the reference."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from converters.cli.convert import CONVERT, _outputs
from edge_crnn import open_reader
from edge_crnn.dataset import content_hash, find_images
from edge_crnn.files import sha256
from edge_crnn.model.artifact import load, load_sidecar
from tests.converters.cli.conftest import WIDE, Run, another_file

LOW = ["--gate-agreement", "40", "--gate-accuracy", "60"]
"""A gate that this tiny network meets in int8; it was never trained, so its texts change easily."""

pytestmark = pytest.mark.usefixtures("one_keras")


def test_passing_model_is_written_with_its_verdict(
    convert: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    status, out, err = convert("--recipe", "float32", *WIDE)
    assert (status, err) == (0, [])
    artifact = load(tmp_path / "x.tflite")
    artifact_says = (
        "pass: same text on 100.00% (94.04% to 100.00%) of what the trained model reads correctly, gate 90.00%;"
        " accuracy +0.00 points, gate ±10.00; 60 images, 0 changed"
    )
    folder = "/".join(labelled_folder.parts[-2:])
    assert out[:2] == [
        f"x.tflite: {artifact_says}",
        f"  {folder}: 60 images; correct 100.00%, trained model 100.00%; same text 100.00%",
    ]
    assert f"{artifact.path}: {artifact.path.stat().st_size:,} bytes, recipe float32" in out[2]
    assert artifact.spec.parity is not None
    assert artifact.spec.parity.verdict == "pass"
    assert artifact.spec.artifact is not None
    assert artifact.spec.artifact.source_sha256 == sha256(tiny_keras.read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tflite"]
    with open_reader(artifact.path) as reader:
        readings = reader.read_batch(find_images(labelled_folder))
    table = (labelled_folder / "labels.csv").read_text().splitlines()[1:]
    assert [reading.label for reading in readings] == [line.partition(",")[2] for line in table]


def test_the_same_conversion_gives_the_same_bytes(convert: Run, tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        assert convert("--recipe", "float16", *WIDE)[0] == 0
        written.append((tmp_path / "x.tflite").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("recipe", ["int8", "int8-full"])
def test_int8_is_calibrated(recipe: str, convert: Run, calibration_folder: Path, tmp_path: Path) -> None:
    status, out, _ = convert("--recipe", recipe, "--calibration", calibration_folder, *LOW)
    assert status == 0
    assert out[0] == f"calibrated with 12 images of {calibration_folder}"
    facts = load(tmp_path / "x.tflite").spec.artifact
    assert facts is not None
    assert facts.recipe == recipe
    assert facts.calibration is not None
    assert facts.calibration.images == 12
    assert facts.calibration.sha256 == content_hash(find_images(calibration_folder))


def test_failing_model_is_shown_but_not_written(
    convert: Run, calibration_folder: Path, labelled_folder: Path, tmp_path: Path
) -> None:
    status, out, err = convert(
        "--recipe", "int8", "--calibration", calibration_folder, "--page", tmp_path / "page.html"
    )
    assert status == 3
    assert len(err) == 1
    assert "x.tflite does not meet the gate and was not written; try" in err[0]
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert "Images that read differently" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert out[1].startswith("x.tflite: fail: same text on ")
    assert any(line.startswith(f"  {labelled_folder}/") and "trained model '" in line for line in out)


def test_failing_model_leaves_an_older_file_alone(convert: Run, calibration_folder: Path, tmp_path: Path) -> None:
    assert convert("--recipe", "float32", *WIDE)[0] == 0
    before = (tmp_path / "x.tflite").read_bytes()
    status, _, err = convert("--recipe", "int8", "--calibration", calibration_folder)
    assert status == 3
    assert "was not written; the existing file is unchanged" in err[0]
    assert (tmp_path / "x.tflite").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.tflite"]


def test_too_few_images_are_reported(convert: Run, tmp_path: Path) -> None:
    status, out, _ = convert("--recipe", "float32")
    assert status == 0
    assert out[0].startswith("x.tflite: underpowered: ")
    assert any("an agreement of only 95.13%" in line for line in out)
    parity = load(tmp_path / "x.tflite").spec.parity
    assert parity is not None
    assert parity.verdict == "underpowered"


def test_strict_asks_for_a_pass(convert: Run, tmp_path: Path) -> None:
    status, _, err = convert("--recipe", "float32", "--strict")
    assert status == 3
    assert len(err) == 1
    assert not list(tmp_path.iterdir())
    assert convert("--recipe", "float32", "--strict", *WIDE)[0] == 0


def test_auto_takes_the_fastest_that_passes(
    convert: Run, calibration_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float16 is the fastest here of those that pass; int8 is faster, and fails."""
    speeds = {"float32": 9.0, "float16": 4.0, "dynamic": 2.0, "int8": 1.0, "int8-full": 3.0}
    monkeypatch.setattr(
        "converters.cli.convert.latencies_ms",
        lambda candidates, _: [speeds[candidate.recipe.name] for candidate in candidates],
    )
    status, out, _ = convert("--recipe", "auto", "--calibration", calibration_folder, *WIDE)
    assert status == 0
    table = [line.split() for line in out[1:7]]
    assert table[0] == ["recipe", "verdict", "agreement", "accuracy", "bytes", "ms,", "1", "thread"]
    assert [line[0] for line in table[1:]] == list(speeds)
    assert [line[-1] for line in table[1:]] == [f"{ms:.2f}" for ms in speeds.values()]
    assert {line[0]: line[1] for line in table[1:]} == {
        "float32": "pass", "float16": "pass", "dynamic": "fail", "int8": "fail", "int8-full": "fail",
    }  # fmt: skip
    facts = load(tmp_path / "x.tflite").spec.artifact
    assert facts is not None
    assert facts.recipe == "float16"
    assert f"{(tmp_path / 'x.tflite').stat().st_size:,} bytes, recipe float16" in out[-1]


def test_auto_measures(convert: Run, tmp_path: Path) -> None:
    status, out, _ = convert("--recipe", "auto", *WIDE)
    assert status == 0
    assert "15 of the images" in out[0]
    assert [line.split()[0] for line in out[2:7]] == ["float32", "float16", "dynamic", "int8", "int8-full"]
    assert all(float(line.split()[-1]) > 0 for line in out[2:7])


def test_auto_with_none_that_passes_shows_the_best(convert: Run, calibration_folder: Path, tmp_path: Path) -> None:
    status, out, err = convert("--recipe", "auto", "--calibration", calibration_folder, "--strict")
    assert status == 3
    assert len(err) == 1
    assert not list(tmp_path.iterdir())
    assert out[7].startswith("x.tflite: underpowered: same text on 100.00%")


def test_auto_goes_on_without_a_recipe_that_is_not_possible(
    convert: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converters.tflite.ops.np.finfo", lambda _: type("Small", (), {"max": 1e-3}))
    status, out, _ = convert("--recipe", "auto", *WIDE)
    assert status == 0
    assert out[1].startswith("float16: weight ")
    assert [line.split()[0] for line in out[3:5]] == ["float32", "dynamic"]


def test_batches_and_values(convert: Run, labelled_folder: Path, tmp_path: Path) -> None:
    """The file fixes its batch and input type; the reader handles both."""
    assert convert("--recipe", "float32", "--batch", "4", "--float-input", *WIDE)[0] == 0
    artifact = load(tmp_path / "x.tflite")
    assert artifact.spec.artifact is not None
    assert artifact.spec.artifact.batch == 4
    assert (artifact.spec.input.dtype, artifact.spec.input.axes) == ("float32", "WHC")
    with open_reader(artifact.path) as reader:
        assert all(reading.text for reading in reader.read_batch(find_images(labelled_folder)[:6]))


def test_spec_may_be_elsewhere(run: Run, tiny_keras: Path, labelled_folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.keras"
    shutil.copy(tiny_keras, bare)
    words = ["convert", bare, "--recipe", "float32", "--labelled", labelled_folder, "-o", tmp_path / "x.tflite", *WIDE]
    status, _, err = run(*words)
    assert status == 1
    assert len(err) == 1
    assert err[0].startswith(f"edge-crnn convert: {bare} does not say")
    (tmp_path / "spec.json").write_text(replace(load_sidecar(tiny_keras), name="other").to_json())
    assert run(*words, "--spec", tmp_path / "spec.json")[0] == 0
    assert load(tmp_path / "x.tflite").spec.name == "other"


def test_no_image_counts_twice(convert: Run, labelled_folder: Path, tmp_path: Path) -> None:
    status, out, err = convert("--recipe", "float32", "--labelled", labelled_folder)
    assert (status, out, len(err)) == (1, [], 1)
    assert "60 images occur more than once" in err[0]
    assert not list(tmp_path.iterdir())


def test_folders_count_together(convert: Run, labelled_folder: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    first = find_images(labelled_folder)[0]
    label = (labelled_folder / "labels.csv").read_text().splitlines()[1].partition(",")[2]
    another_file(first, second / f"{label}.png")
    status, out, _ = convert("--recipe", "float32", "--labelled", second, *WIDE)
    assert status == 0
    assert "61 images" in out[0]
    parity = load(tmp_path / "x.tflite").spec.parity
    assert parity is not None
    assert [image_set.name for image_set in parity.sets] == [
        "/".join(folder.parts[-2:]) for folder in (labelled_folder, second)
    ]


# --- what is refused at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--batch", "0"], "argument --batch: 0 is less than 1"),
        (["--batch", str(10**18)], "argument --batch: 1000000000000000000 is more than 65536"),
        (["--gate-agreement", "101"], "argument --gate-agreement: 101.0 is not between 0 and 100"),
        (["--gate-accuracy", "nan"], "argument --gate-accuracy: nan is not between 0 and 100"),
        (["--recipe", "int4"], "argument --recipe: invalid choice: 'int4'"),
    ],
)
def test_bad_usage(words: list[str], expected: str, convert: Run) -> None:
    status, out, err = convert(*words)
    assert (status, out) == (2, [])
    assert expected in err[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-o", "x.bin"], "x.bin: the output must end in .tflite, .onnx, .engine"),
        (["-o", "x"], "x: the output must end in .tflite"),
        (["-o", "x.onnx", "--to", "tflite"], "x.onnx: the output must end in .tflite with --to tflite"),
        (["-o", "x.tflite", "--to", "onnx"], "x.tflite: the output must end in .onnx with --to onnx"),
        (["-o", "no/x.tflite"], "no/x.tflite: cannot write"),
        (["--page", "no/page.html"], "no/page.html: cannot write"),
    ],
)
def test_hopeless_conversion_is_refused_at_the_start(
    words: list[str], expected: str, convert: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("converters.cli.arguments.open_source", None)  # nothing is opened before
    status, out, err = convert(*words)
    assert (status, out, len(err)) == (1, [], 1)
    assert expected in err[0]


def test_files_that_are_read_are_not_written_over(convert: Run, tiny_keras: Path, tmp_path: Path) -> None:
    before = tiny_keras.read_bytes()
    for page in (tiny_keras, tmp_path / "x.tflite"):
        status, _, err = convert("--recipe", "float32", "--page", page)
        assert status == 1
        assert len(err) == 1
        assert f"{page}: two files of this run have this name" in err[0]
    assert tiny_keras.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "target", "name"),
    [
        ([], "tflite", "m.tflite"),
        (["--to", "onnx"], "onnx", "m.onnx"),
        (["--to", "tensorrt"], "tensorrt", "m.engine"),
        (["-o", "a/x.tflite"], "tflite", "a/x.tflite"),
        (["-o", "a/x.onnx"], "onnx", "a/x.onnx"),
        (["-o", "a/x.engine"], "tensorrt", "a/x.engine"),
        (["-o", "x.engine", "--to", "tensorrt"], "tensorrt", "x.engine"),
    ],
)
def test_the_suffix_of_the_output_says_what_to_convert_to(words: list[str], target: str, name: str) -> None:
    parsed = CONVERT.parser("convert").parse_args(["a/m.keras", *words])
    outputs = _outputs(parsed)
    assert (outputs.target, outputs.engine or outputs.converted) == (target, Path(name))
