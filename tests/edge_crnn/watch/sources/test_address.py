from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_crnn.errors import InputError
from edge_crnn.watch.sources import open_source


@pytest.mark.parametrize(
    ("address", "kind", "name", "is_live"),
    [
        ("rtsp://u:p@host/x", "RtspSource", "rtsp://host/x", True),
        ("RTSPS://host/x", "RtspSource", "rtsps://host/x", True),
        ("http://host/x", "HttpSource", "http://host/x", True),
        ("https://u:p@host/x", "HttpSource", "https://host/x", True),
        ("picamera://1", "PicameraSource", "picamera://1", True),
        ("picamera://", "PicameraSource", "picamera://0", True),
        ("/dev/video0", "V4l2Source", "/dev/video0", True),
        ("/videos/gate.mp4", "FileSource", "/videos/gate.mp4", False),
        (".", "FolderSource", ".", False),
    ],
)
def test_the_address_chooses_the_source(address: str, kind: str, name: str, is_live: bool) -> None:
    source = open_source(address, rate=5)
    assert (type(source).__name__, source.name, source.is_live) == (kind, name, is_live)


@pytest.mark.parametrize("address", ["", "ftp://u:geheim@host/x", "picamera://front", "file:///x.mp4"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected") as caught:
        open_source(address)
    assert "geheim" not in str(caught.value)


@pytest.mark.thorough
def test_choosing_a_source_imports_no_decoder(tmp_path: Path) -> None:
    program = (
        "import sys; from edge_crnn.watch.sources import open_source\n"
        "for address in ('rtsp://h/x', 'http://h/x', '/dev/video0', 'picamera://0', '.', 'x.mp4'):\n"
        "    open_source(address)\n"
        "assert not {'av', 'cv2', 'picamera2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
