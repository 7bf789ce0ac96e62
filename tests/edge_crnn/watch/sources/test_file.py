from __future__ import annotations

import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_crnn.errors import BackendUnavailable, InputError, SourceError
from edge_crnn.watch.frame import Pixels
from edge_crnn.watch.sources.file import FileSource
from tests.edge_crnn.watch.sources.videos import av, frame, number_of, write_video


def frames_of(source: FileSource) -> list[tuple[Pixels, float]]:
    frames = []
    source.open()
    while (content := source.read()) is not None:
        assert content[1] is not None
        frames.append((content[0], content[1]))
    source.close()
    return frames


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.mkv", "mjpeg"), ("v.avi", "mpeg4"), ("v.h264", "libx264")]
)
def test_every_frame_comes_in_order_with_its_time(tmp_path: Path, name: str, codec: str) -> None:
    frames = frames_of(FileSource(str(write_video(tmp_path / name, codec=codec))))
    assert [number_of(pixels) for pixels, _ in frames] == list(range(20))
    assert [pixels.shape for pixels, _ in frames] == [(48, 64, 3)] * 20
    assert frames[0][0].dtype == np.uint8
    if name != "v.h264":  # which has no times
        assert [seconds for _, seconds in frames] == pytest.approx([n / 10 for n in range(20)])
    assert all(later[1] >= earlier[1] for earlier, later in pairwise(frames))


def test_colours_are_bgr(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "blue.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        blue = np.full((48, 64, 3), (230, 20, 20), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(blue, format="bgr24")))
        container.mux(stream.encode())
    (pixels, _), *_ = frames_of(FileSource(str(tmp_path / "blue.mp4")))
    assert np.abs(pixels.astype(int) - blue).max() < 12


def test_a_source_can_be_opened_again(tmp_path: Path) -> None:
    source = FileSource(str(write_video(tmp_path / "v.mp4")))
    source.open()
    source.read()
    assert len(frames_of(source)) == len(frames_of(source)) == 20
    source.close()
    with pytest.raises(SourceError, match="open"):
        source.read()


@pytest.mark.parametrize(("rate", "numbers"), [(5, list(range(0, 20, 2))), (2, [0, 5, 10, 15]), (100, list(range(20)))])
def test_a_rate_selects_frames(tmp_path: Path, rate: float, numbers: list[int]) -> None:
    frames = frames_of(FileSource(str(write_video(tmp_path / "v.mp4")), rate=rate))
    assert [number_of(pixels) for pixels, _ in frames] == numbers


def test_times_go_on_where_recordings_were_joined(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.ts").read_bytes()
    (tmp_path / "joined.ts").write_bytes(part * 3)
    frames = frames_of(FileSource(str(tmp_path / "joined.ts")))
    assert len(frames) == 60
    assert frames[-1][1] == pytest.approx(5.9, abs=0.3)
    assert len(frames_of(FileSource(str(tmp_path / "joined.ts"), rate=2))) == pytest.approx(12, abs=2)


def test_with_a_low_rate_only_key_frames_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FileSource(str(write_video(tmp_path / "v.mp4", 24)), rate=2)
    source.open()
    source.read()
    wanted = []
    is_wanted = source._is_wanted
    monkeypatch.setattr(source, "_is_wanted", lambda packet: wanted.append(is_wanted(packet)) or wanted[-1])
    while source.read() is not None:
        pass
    assert wanted.count(False) > 10


def test_the_rotation_of_a_phone_is_applied(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 2)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    path.write_bytes(data)
    (pixels, _), *_ = frames_of(FileSource(str(path)))
    assert pixels.shape == (64, 48, 3)
    assert pixels.flags.c_contiguous
    # Turned by a quarter clockwise, the dark left half is above.
    assert np.abs(pixels.astype(int) - np.rot90(frame(0), -1)).max() < 12


@pytest.mark.parametrize("content", [b"", b"no video" * 100, b"\x00\x00\x00\x18ftypmp42" + bytes(5000)])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=r"v\.mp4"):
        frames_of(FileSource(str(tmp_path / "v.mp4")))


def test_a_file_without_video_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(SourceError, match="no video"):
        FileSource(str(tmp_path / "a.wav")).open()


def test_large_frames_are_refused_with_the_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 2)
    with pytest.raises(SourceError, match="64 x 48"):
        FileSource(str(path), most_pixels=64 * 48 - 1).open()
    assert len(frames_of(FileSource(str(path), most_pixels=64 * 48))) == 2


@pytest.mark.thorough
def test_a_hundred_megapixels_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", 1, codec="mjpeg")
    small = path.read_bytes()
    start = small.index(b"\xff\xc0")  # the frame header of the JPEG: length, bits, height, width
    path.write_bytes(small[: start + 5] + (15000).to_bytes(2, "big") * 2 + small[start + 9 :])
    program = (
        "import resource, sys\n"
        "from edge_crnn.watch.sources.file import FileSource\n"
        "from edge_crnn.errors import SourceError\n"
        "import av, numpy\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "source = FileSource(sys.argv[1])\n"
        "try:\n    source.open(); source.read()\n"
        "except SourceError as error:\n    print(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert "more than 16,000,000 pixels" in done.stdout


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=60), is_cut=st.booleans())
def test_damaged_files_give_frames_or_one_clear_error(tmp_path: Path, place: float, junk: bytes, is_cut: bool) -> None:
    path = tmp_path / "v.mkv"
    if not path.exists():
        write_video(path)
        (tmp_path / "whole").write_bytes(path.read_bytes())
    data = (tmp_path / "whole").read_bytes()
    start = int(place * len(data))
    (tmp_path / "broken.mkv").write_bytes(data[:start] + junk + (b"" if is_cut else data[start + len(junk) :]))
    notes: list[str] = []
    try:
        frames = frames_of(FileSource(str(tmp_path / "broken.mkv"), note=notes.append))
    except SourceError as error:
        assert "broken.mkv" in str(error)  # noqa: PT017 - an error is allowed, not expected
    else:
        assert 0 < len(frames) < 100


def test_damaged_packets_are_noted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", codec="mjpeg")
    data = bytearray(path.read_bytes())
    images = [index for index in range(len(data)) if data.startswith(b"\xff\xd8\xff", index)]
    data[images[5] : images[6] - 20] = bytes(images[6] - 20 - images[5])
    path.write_bytes(data)
    notes: list[str] = []
    assert len(frames_of(FileSource(str(path), note=notes.append))) == 19
    assert len(notes) == 1
    assert "missing" in notes[0]


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_rates_are_checked(rate: float) -> None:
    with pytest.raises(InputError, match="rate"):
        FileSource("v.mp4", rate=rate)


def test_without_pyav_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", 1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendUnavailable, match=r"edge-crnn\[watch\]"):
        FileSource(str(path)).open()


@pytest.mark.thorough
def test_opening_again_and_again_leaks_nothing(tmp_path: Path) -> None:
    source = FileSource(str(write_video(tmp_path / "v.mp4", 3, key_every=1)))
    for _ in range(30):
        frames_of(source)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(300):
        source.open()
        source.read()
    source.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 15_000
    assert len(list(Path("/proc/self/fd").iterdir())) < 100
