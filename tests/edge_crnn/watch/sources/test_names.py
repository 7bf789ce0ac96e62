from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.watch.sources.address import open_source
from edge_crnn.watch.sources.names import public_name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://camera.local/stream", "rtsp://camera.local/stream"),
        ("RTSP://admin:1234@10.0.0.5:554/h264?channel=1&password=x", "rtsp://10.0.0.5:554/h264"),
        ("rtsp://admin:p@ss/w?rd#@10.0.0.5/cam", "rtsp://10.0.0.5/cam"),
        ("rtsp://10.0.0.5/user=admin_password=geheim_channel=1", "rtsp://10.0.0.5/user=admin_password=…"),
        ("http://[::1]:8080/video.mjpg#token", "http://[::1]:8080/video.mjpg"),
        ("/videos/a@b.mp4", "/videos/a@b.mp4"),
    ],
)
def test_names(address: str, name: str) -> None:
    assert public_name(address) == name


@given(password=st.text(min_size=1), scheme=st.sampled_from(["rtsp", "https"]))
def test_no_password_is_in_a_name(password: str, scheme: str) -> None:
    source = open_source(f"{scheme}://admin:{password}@camera/live?key={password}")
    if "@" not in password:
        assert source.name == f"{scheme}://camera/live"
    marked = open_source(f"{scheme}://admin:#<{password}>#@camera/live")
    assert f"<{password}>" not in source.name + marked.name + repr(source) + repr(marked)
