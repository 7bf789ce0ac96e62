"""Packages in place of those that are installed, for processes that look into a folder first."""

from __future__ import annotations

from pathlib import Path

ABSENT = (
    *("ai_edge_litert", "tflite_runtime", "tensorflow", "onnxruntime", "cv2", "PIL", "h5py", "keras", "openvino"),
    *("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "pycuda", "av"),
)
"""Everything that a reader may use and does not need."""


def stub(folder: Path, package: str, code: str | None = None) -> None:
    """Install a package that runs `code` when it is imported; None: as if it were not installed."""
    if code is None:
        code = f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')"
    (folder / f"{package}.py").write_text(f"{code}\n", encoding="utf-8")
