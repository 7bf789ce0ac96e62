from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_crnn.errors import ArtifactError, BackendError, InputError
from edge_crnn.watch.finding.detector import Detector, boxes_of
from edge_crnn.watch.finding.region import Box

CORNERS = [100.0, 50.0, 180.0, 70.0]
CENTRE = [140.0, 60.0, 80.0, 20.0]


def raw() -> np.ndarray:
    """Return (8, 5) boxes as centres; the second one repeats the first, the others have no score."""
    return np.array([[*CENTRE, 0.9], [*CENTRE[:3], 21.0, 0.8], *[[1, 1, 2, 2, 0.0]] * 6], np.float32)


@pytest.mark.parametrize(
    ("output", "layout"),
    [
        (raw()[None], "auto"),
        (raw().T[None], "auto"),
        (np.insert(raw(), 4, 1.0, axis=1)[None], "yolov5"),
        (np.array([[*CORNERS, 0.9, 0]], np.float32), "auto"),
        (np.array([[[*CORNERS, 0.9, 0], [0, 0, 0, 0, 0, 0]]], np.float32), "auto"),
        (np.array([[0, *CORNERS, 0.9, 0]], np.float32), "auto"),
    ],
)  # fmt: skip
def test_every_form_gives_the_same_box(output: np.ndarray, layout: str) -> None:
    boxes = boxes_of(output, 0.25, layout)  # type: ignore[arg-type]
    assert boxes == pytest.approx(np.array([[*CORNERS, 0.9]]), abs=1e-4)


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=1, max_dims=4, max_side=9)), st.floats(0.01, 0.99))
def test_any_output_gives_boxes_or_one_clear_error(output: np.ndarray, least: float) -> None:
    try:
        boxes = boxes_of(output, least)
    except InputError:
        return
    assert (boxes[:, 4] >= least).all()
    assert (np.diff(boxes[:, 4]) <= 0).all()


def saved(path: Path, output: np.ndarray, side: object = 64) -> Path:
    """Save a real ONNX file that gives this output for every image."""
    onnx = pytest.importorskip("onnx", reason="writes the file")
    from onnx import TensorProto, helper, numpy_helper

    zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    boxes = numpy_helper.from_array(output.astype(np.float32), "boxes")
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["output"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])
    result = helper.make_tensor_value_info("output", TensorProto.FLOAT, list(output.shape))
    graph = helper.make_graph(nodes, "detector", [image], [result], [zero, boxes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def test_boxes_are_scaled_back_to_the_frame(tmp_path: Path) -> None:
    detector = Detector(saved(tmp_path / "d.onnx", np.array([[10, 5, 30, 10, 0.9, 0]])))
    (quad,) = detector.quads(np.zeros((200, 300, 3), np.uint8), Box(100, 50, 228, 178))
    # 128 pixels became 64, and each side has a margin of 6 %.
    assert quad[0] == pytest.approx([120 - 2.4, 60 - 0.6])
    assert quad[2] == pytest.approx([160 + 2.4, 70 + 0.6])


def test_a_file_that_is_no_detector_is_rejected(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="runs the detector")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ArtifactError, match=r"text.onnx: ONNX Runtime rejects it"):
        Detector(tmp_path / "text.onnx")
    with pytest.raises(ArtifactError, match="cannot be read"):
        Detector(tmp_path / "missing.onnx")
    with pytest.raises(ArtifactError, match="fixed size"):
        Detector(saved(tmp_path / "open.onnx", np.zeros((1, 6)), "side"))
    with pytest.raises(BackendError, match="expected"):
        Detector(saved(tmp_path / "odd.onnx", np.zeros((2, 2, 6)))).quads(
            np.zeros((64, 64, 3), np.uint8), Box(0, 0, 64, 64)
        )
