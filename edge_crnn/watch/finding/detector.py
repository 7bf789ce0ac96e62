"""A detector of the user's own, through ONNX Runtime.

The file takes one image of a fixed size, (1, 3, H, W) float32 with RGB values from 0 to 1. Frames are scaled to fit
and padded with grey 114 at the right or bottom. The file gives one of these outputs, in pixels of its input:

- (1, 4 + C, N) or (1, N, 4 + C): YOLO version 8 and later, without suppression: centre x, centre y, width, height,
  and a score for each of C classes. There are more boxes than values per box; this tells the two apart.
- (1, N, 5 + C) with `layout="yolov5"`: the same with the probability of an object before the scores.
- (1, N, 6) or (N, 6): after suppression: left, top, right, bottom, score, class.
- (N, 7): the same with the place of the image in the batch in front.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ...errors import ArtifactError, BackendError, BackendUnavailable, InputError
from ..frame import Pixels, Quad
from ..opencv import opencv
from .region import Box

Layout: TypeAlias = Literal["auto", "yolov5"]
_PADDING = 114
_OVERLAP = 0.5
_MARGIN = 0.06
"""Boxes are widened by this share of their size on each side: a cut symbol costs more than a margin."""


class Detector:
    """Finds boxes of plates with an ONNX file.

    Args:
        path: the file.
        least: least score of a box.
        layout: "auto" for all forms above that have no layout of their own.
        threads: number of threads.

    Raises:
        InputError: `least` or `layout` is out of range.
        ArtifactError: the file cannot be read, or has another input.
        BackendUnavailable: ONNX Runtime is not installed.
    """

    def __init__(self, path: Path, *, least: float = 0.25, layout: Layout = "auto", threads: int = 1) -> None:
        if not 0 < least < 1:
            raise InputError(f"least score is {least:g}, expected a number between 0 and 1")
        if layout not in get_args(Layout):
            raise InputError(f"layout is {layout!r}, expected one of {', '.join(get_args(Layout))}")
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendUnavailable(
                f"{path.name}: a detector needs ONNX Runtime ({error}); pip install 'edge-crnn[onnxruntime]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised
        try:
            self._session: Any = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror}); name the detector's .onnx file") from error
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise ArtifactError(f"{path}: ONNX Runtime rejects it ({error}); export it again as .onnx") from error
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else None
        if (
            shape is None
            or len(shape) != 4
            or shape[1] != 3
            or not all(isinstance(side, int) for side in shape[2:])
            or inputs[0].type != "tensor(float)"
        ):
            raise ArtifactError(
                f"{path}: takes {[(tensor.shape, tensor.type) for tensor in inputs]}, expected one float32 image"
                " (1, 3, H, W) of a fixed size; export it so"
            )
        self._name = path.name
        self._input = inputs[0].name
        self._size = (int(shape[3]), int(shape[2]))
        self._least = least
        self._layout = layout

    def quads(self, pixels: Pixels, box: Box) -> list[Quad]:
        """Return the boxes in a part of a frame, the most certain first, in pixels of the frame.

        Raises:
            BackendError: the detector failed, or its output has another form.
        """
        part = pixels[box.top : box.bottom, box.left : box.right]
        image, scale = _letterbox(part, self._size)
        try:
            output = self._session.run(None, {self._input: image})[0]
        except Exception as error:
            raise BackendError(f"{self._name}: the detector failed ({error})") from error
        try:
            boxes = boxes_of(output, self._least, self._layout)
        except InputError as error:
            raise BackendError(f"{self._name}: {error}") from error
        corners = boxes[:, :4] / scale + np.array([box.left, box.top] * 2)
        margin = _MARGIN * (corners[:, 2:] - corners[:, :2])
        left, top = (corners[:, :2] - margin).T
        right, bottom = (corners[:, 2:] + margin).T
        quads = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 2)
        return list(quads.astype(np.float32))


def boxes_of(output: npt.NDArray[Any], least: float, layout: Layout = "auto") -> npt.NDArray[np.float64]:
    """Return the boxes in a detector's output.

    Args:
        output: in one of the forms that the module describes.
        least: least score.
        layout: see `Detector`.

    Returns:
        (N, 5) float64: left, top, right, bottom and score, by falling score, without boxes that overlap a better one.

    Raises:
        InputError: the output has another form, or values that are not finite.
    """
    values = np.asarray(output, np.float64)
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2:
        raise InputError(f"the detector gives shape {output.shape}, expected (1, 4 + C, N), (1, N, 4 + C) or (N, 6)")
    if not np.isfinite(values).all():
        raise InputError("the detector gives values that are not finite; export it again")
    if layout == "yolov5":
        if values.shape[1] < 6:
            raise InputError(f"the detector gives shape {output.shape}, expected (1, N, 5 + C) for the layout yolov5")
        boxes = _from_centres(values[:, :4], values[:, 4] * values[:, 5:].max(axis=1))
    elif values.shape[1] == 6 and (output.ndim == 2 or not _is_raw(values)):
        boxes = values[:, :5]
    elif values.shape[1] == 7 and output.ndim == 2:
        boxes = values[:, 1:6]
    else:
        if values.shape[0] < values.shape[1]:
            values = values.T
        if values.shape[1] < 5:
            raise InputError(f"the detector gives shape {output.shape}, expected at least 5 values per box")
        boxes = _from_centres(values[:, :4], values[:, 4:].max(axis=1))
    wide = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return _suppressed(boxes[(boxes[:, 4] >= least) & wide])


def _is_raw(values: npt.NDArray[np.float64]) -> bool:
    """Return whether (N, 6) values are centres, sizes and two scores rather than corners, a score and a class."""
    classes = values[:, 5]
    return bool((classes != np.rint(classes)).any())


def _from_centres(boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centre - half, centre + half, scores[:, None]], axis=1)


def _suppressed(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    left = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept = []
    while len(left):
        best = left[0]
        kept.append(best)
        shared = np.minimum(left[:, 2:4], best[2:4]) - np.maximum(left[:, :2], best[:2])
        both = np.prod(np.maximum(shared, 0), axis=1)
        areas = np.prod(left[:, 2:4] - left[:, :2], axis=1)
        left = left[both / (areas + areas[0] - both) <= _OVERLAP]
    return np.array(kept).reshape(-1, 5)


def _letterbox(part: Pixels, size: tuple[int, int]) -> tuple[npt.NDArray[np.float32], float]:
    """Return (1, 3, H, W) float32 RGB from 0 to 1, with the part at the top left, and its scale."""
    cv2 = opencv()
    height, width = part.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    canvas = np.full((size[1], size[0], 3), _PADDING, np.uint8)
    fitted = cv2.resize(part, (max(int(width * scale), 1), max(int(height * scale), 1)))
    canvas[: fitted.shape[0], : fitted.shape[1]] = fitted
    image = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
    return image / np.float32(255), scale
