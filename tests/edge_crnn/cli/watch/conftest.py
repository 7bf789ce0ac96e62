"""A recording of one vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Recording:
    """A video of one vehicle."""

    path: Path
    text: str
    """The text on its plate."""


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Return a video of one vehicle."""
    pytest.importorskip("av", reason="PyAV comes with edge-crnn[watch]")
    pytest.importorskip("koreanize_matplotlib", reason="its fonts render the plate")
    from benchmarks.watch.scenes import as_video, passage

    path = tmp_path_factory.mktemp("recording") / "gate.mp4"
    scene = passage(3, "day", rate=8, vehicles=1)
    as_video(scene, path)
    return Recording(path, scene.vehicles[0].text)


@pytest.fixture(scope="session")
def frames(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the frames of the recording as a folder, whose time passes as quickly as they are read."""
    import av
    import cv2

    folder = tmp_path_factory.mktemp("frames")
    with av.open(str(recording.path)) as video:
        for number, frame in enumerate(video.decode(video=0)):
            cv2.imwrite(str(folder / f"{number:04d}.jpg"), frame.to_ndarray(format="bgr24"))
    return folder
