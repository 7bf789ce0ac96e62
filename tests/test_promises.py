"""Promises of the whole project: the imports of the package, the files of the wheel, the same text in every format."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import edge_crnn
from edge_crnn import open_reader

ROOT = Path(__file__).parents[1]

BLOCKED = (
    *("tensorflow", "keras", "h5py", "flatbuffers", "onnx", "cv2", "PIL"),
    *("ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino", "tensorrt", "pycuda"),
    *("pyarrow", "fsspec", "ray", "tritonclient", "importlib.metadata", "pkg_resources"),
)
"""Modules that are slow to import, or missing on a device."""


def python(code: str, *words: str) -> str:
    program = f"import sys\nfor name in {BLOCKED!r}:\n    sys.modules[name] = None\n{code}"
    ended = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_package_needs_numpy_only() -> None:
    imported = python(
        "import numpy; before = set(sys.modules); import edge_crnn; print(*sorted(set(sys.modules) - before))"
    ).split()
    assert "edge_crnn.reader" in imported
    assert {name.partition(".")[0] for name in imported} <= {"edge_crnn", "numpy", *sys.stdlib_module_names}


def test_importing_the_package_stays_light() -> None:
    numpy, package = python(
        "before = set(sys.modules); import numpy; mine = set(sys.modules); import edge_crnn;"
        " print(len(mine - before), len(set(sys.modules) - mine))"
    ).split()
    assert int(package) < int(numpy)
    imported = python(
        "import numpy; mine = set(sys.modules); import edge_crnn; print(*(set(sys.modules) - mine))"
    ).split()
    extras = {"ray", "pyarrow", "fsspec", "tritonclient", "av", "paho", "starlette", "uvicorn", "cv2"}
    heavy = {"http", "ssl", "asyncio", "multiprocessing", "hashlib"}
    assert not (extras | heavy) & set(imported)
    parts = tuple(f"edge_crnn.{part}" for part in ("scale", "serve", "watch", "cli"))
    assert not [name for name in imported if name.startswith(parts)]


def test_every_module_of_the_runtime_imports_without_an_engine() -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "edge_crnn").rglob("*.py")
    }
    modules -= {name for name in modules if name.startswith("edge_crnn.training")}
    modules -= {"edge_crnn.backends.litert", "edge_crnn.backends.onnxrt", "edge_crnn.cli.synth"}
    assert {"edge_crnn.cli.read", "edge_crnn.images", "edge_crnn.reader", "edge_crnn.__main__"} <= modules
    imported = python(
        "import importlib\nfor name in sys.argv[1:]: print(importlib.import_module(name).__name__)", *modules
    )
    assert set(imported.split()) == modules


def test_all_lists_every_public_name() -> None:
    public = {
        name
        for name, value in vars(edge_crnn).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert list(edge_crnn.__all__) == sorted({*public, "__version__", *edge_crnn._LAZY})
    assert set(edge_crnn.__all__) <= set(dir(edge_crnn))
    assert all(hasattr(edge_crnn, name) for name in edge_crnn.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'transmogrify'"):
        edge_crnn.transmogrify  # noqa: B018


def test_the_version_is_the_same_everywhere() -> None:
    (project,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    releases = re.findall(
        r"^## (\d+\.\d+\.\d+) — \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M
    )
    assert edge_crnn.__version__ == project == releases[0]
    assert releases == sorted(releases, key=lambda release: [*map(int, release.split("."))], reverse=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names in a wheel built from a copy of this tree."""
    pytest.importorskip("setuptools", "77", reason="the wheel is built by setuptools 77 or later")
    copy = tmp_path_factory.mktemp("tree")
    for place in ROOT.iterdir():
        if place.name in ("edge_crnn", "converters"):
            shutil.copytree(place, copy / place.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif place.suffix != ".egg-info" and not place.name.startswith(".") and place.name not in ("build", "dist"):
            (copy / place.name).symlink_to(place)
    built = copy / "built"
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(built)!r})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (file,) = built.iterdir()
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


@pytest.mark.thorough
def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: set[str]) -> None:
    metadata = {name for name in wheel if name.startswith(f"edge_crnn-{edge_crnn.__version__}.dist-info/")}
    assert wheel - metadata == {
        path.relative_to(ROOT).as_posix()
        for package in ("edge_crnn", "converters")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "edge_crnn/py.typed",
        "converters/py.typed",
        "edge_crnn/cli/main.py",
        "edge_crnn/backends/litert.py",
    } <= wheel
    assert any(name.endswith("/LICENSE") for name in metadata)


def test_the_wheel_reads_plates_with_no_other_download(wheel: set[str]) -> None:
    assert "edge_crnn/data/plates-int8.tflite" in wheel


FORMATS: dict[str, Callable[[Callable[..., Path]], Path]] = {
    "tflite, float32": lambda make: make("float32"),
    "tflite, float16": lambda make: make("float16"),
    "tflite, dynamic": lambda make: make("dynamic"),
    "tflite, int8": lambda make: make("int8"),
    "tflite, int8-full": lambda make: make("int8-full"),
    "tflite, float32 values": lambda make: make("float32", takes_pixels=False),
    "tflite, int8 values": lambda make: make("int8", takes_pixels=False),
    "tflite, 4 at once": lambda make: make("int8", batch=4),
}


ONNX_FORMATS: dict[str, Callable[[Callable[..., Path]], Path]] = {
    "onnx, float32": lambda make: make("float32"),
    "onnx, float16": lambda make: make("float16"),
    "onnx, float16-mixed": lambda make: make("float16-mixed"),
    "onnx, float32 values": lambda make: make("float32", takes_pixels=False),
    "onnx, float16 values": lambda make: make("float16", takes_pixels=False),
}


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> Path:
    if request.param in FORMATS:
        return FORMATS[request.param](request.getfixturevalue("tiny_artifacts"))
    return ONNX_FORMATS[request.param](request.getfixturevalue("tiny_onnx"))


@pytest.mark.parametrize("artifact", [*FORMATS, *ONNX_FORMATS], indirect=True)
def test_every_format_reads_the_same_text(
    tiny_pictures: list[np.ndarray], tiny_labels: list[str], artifact: Path
) -> None:
    with open_reader(artifact) as reader:
        assert [reading.text for reading in reader.read_batch(tiny_pictures)] == tiny_labels
