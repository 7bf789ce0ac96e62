"""A function of the user's own, in place of all steps."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_crnn.errors import InputError
from edge_crnn.model.spec import InputSpec, Preprocessing
from edge_crnn.preprocess import function as module
from edge_crnn.preprocess import preprocess
from edge_crnn.preprocess.function import Preprocess, function_of, load_function, use

SOURCE = """
from dataclasses import dataclass
import numpy as np
from beside import HALF

@dataclass
class Kept:
    first: int

def corner(pixels):
    pixels[..., 0] = 0
    return np.full((4, 8, 1), pixels.shape[0] + HALF)

def _hidden(pixels):
    return pixels
"""


@pytest.fixture(autouse=True)
def _nothing_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_in_use", {})
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("HALF = 0.5")
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def spec_of(named: Preprocessing) -> InputSpec:
    return InputSpec(8, 4, "HWC", 1.0, 0.0, function=named)


IMAGES = [np.full((5, 6, 3), 9, np.uint8), np.full((7, 6), 9, np.uint8)]


def test_a_function_of_a_file(file: Path) -> None:
    loaded = load_function(f"{file}:corner")
    assert loaded.named == Preprocessing("corner", hashlib.sha256(file.read_bytes()).hexdigest())
    batch = preprocess(IMAGES, spec_of(loaded.named), loaded)
    assert batch.dtype == np.float32
    assert batch.shape == (2, 4, 8, 1)
    assert batch[:, 0, 0, 0].tolist() == [5.5, 7.5]
    assert (IMAGES[0] == 9).all(), "the function has a copy of its own"


def test_a_function_in_use_needs_not_be_handed_on(file: Path) -> None:
    loaded = load_function(f"{file}:corner")
    spec = spec_of(loaded.named)
    with pytest.raises(InputError, match="the function 'corner', which is not given; give --preprocess FILE:corner"):
        preprocess(IMAGES, spec)
    use(loaded)
    assert np.array_equal(preprocess(IMAGES, spec), preprocess(IMAGES, spec, loaded))


def test_callable_is_identified_by_its_file() -> None:
    def whole(pixels: Any) -> Any:
        return pixels

    function = Preprocess.of(whole)
    assert function.named == Preprocessing("whole", hashlib.sha256(Path(__file__).read_bytes()).hexdigest())
    assert function_of(function.named, whole) == function


def test_wrapped_function_is_identified_by_its_own_file(file: Path) -> None:
    import functools

    loaded = load_function(f"{file}:corner")

    @functools.wraps(loaded.call)
    def wrapper(pixels: Any) -> Any:
        return loaded.call(pixels)

    assert Preprocess.of(wrapper).named == loaded.named


def test_another_function_is_refused(file: Path) -> None:
    loaded = load_function(f"{file}:corner")
    with pytest.raises(InputError, match="found the function '_hidden', but the model was converted with 'corner'"):
        function_of(loaded.named, load_function(f"{file}:_hidden"))
    file.write_text(SOURCE + "# changed")
    with pytest.raises(InputError, match=r"the file that defines 'corner' has SHA-256 .*give that version of the file"):
        function_of(loaded.named, load_function(f"{file}:corner"))
    with pytest.raises(InputError, match="found the function 'corner', but the model names none"):
        function_of(None, loaded)
    assert function_of(None) is None


def test_a_function_without_a_source_has_to_be_vouched_for() -> None:
    names: dict[str, Any] = {}
    exec("def typed(pixels): return pixels", names)
    with pytest.raises(InputError, match=r"source of function 'typed' cannot be read from <string>.*vouch for it"):
        Preprocess.of(names["typed"])
    named = Preprocessing("typed", "0" * 64)
    vouched = Preprocess(names["typed"], named)
    assert function_of(named, vouched) == vouched


@pytest.mark.parametrize("callable_", [len, lambda pixels: pixels, str])
def test_object_without_a_function_name_is_refused(callable_: Any) -> None:
    with pytest.raises(InputError, match="expected a function with a name; define it with def"):
        Preprocess.of(callable_)


def fails(pixels: Any) -> Any:
    raise KeyError("level")


RESULTS = {
    "shape": (lambda p: np.zeros((8, 4, 1)), r"returned shape \(8, 4, 1\) of float64, expected \(4, 8, 1\) of float32"),
    "no channel": (lambda p: np.zeros((4, 8)), r"returned shape \(4, 8\)"),
    "text": (lambda p: "image", r"returned shape \(\) of <U5"),
    "nothing": (lambda p: None, r"returned shape \(\) of object"),
    "complex": (lambda p: np.zeros((4, 8, 1), complex), "of complex128"),
    "ragged": (lambda p: [[1], [1, 2]], "returned list, expected an array"),
    "NaN": (lambda p: np.full((4, 8, 1), np.nan), "numbers that are not finite in float32; correct it"),
    "too large": (lambda p: np.full((4, 8, 1), 1e300), "numbers that are not finite in float32"),
    "error": (fails, r"function 'f' failed \(KeyError: 'level'\); correct it"),
}


@pytest.mark.parametrize(("call", "message"), RESULTS.values(), ids=RESULTS)
def test_a_wrong_result_names_the_image_and_the_function(call: Any, message: str) -> None:
    wrong = Preprocess(call, Preprocessing("f", "0" * 64))
    with pytest.raises(InputError, match=f"^image 0: function 'f' .*{message}|^image 0: {message}"):
        preprocess(IMAGES, spec_of(wrong.named), wrong)


@pytest.mark.parametrize("numbers", [np.ones((4, 8, 1), np.uint8), np.ones((4, 8, 1), bool), [[[1]] * 8] * 4])
def test_numbers_of_any_kind_become_float32(numbers: Any) -> None:
    function = Preprocess(lambda pixels: numbers, Preprocessing("f", "0" * 64))
    assert np.array_equal(preprocess(IMAGES[:1], spec_of(function.named), function), np.ones((1, 4, 8, 1), np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine.py", "expected FILE:FUNCTION, such as my_steps.py:binarised"),
        (":corner", "expected FILE:FUNCTION"),
        ("mine.py:", "expected FILE:FUNCTION"),
        ("absent.py:corner", "absent.py: cannot be read .*name a Python file that defines corner"),
        ("{file}:edges", "no function 'edges'; it defines corner"),
        ("{file}:HALF", "no function 'HALF'; it defines corner"),
    ],
)
def test_a_wrong_name(file: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_function(text.format(file=file))


@pytest.mark.parametrize("source", ["def f(:", "1 / 0", "raise SystemExit(3)", "\0"])
def test_a_file_that_does_not_run(tmp_path: Path, source: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(source)
    with pytest.raises(
        InputError, match=r"broken.py: it does not run \((SyntaxError|ZeroDivision|SystemExit|ValueError)"
    ):
        load_function(f"{path}:f")
