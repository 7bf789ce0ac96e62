"""JPEG: marker segments, and the completeness of scans.

libjpeg fills parts that it cannot decode and only prints a warning, which does not name the file. So this module checks
the markers, and `huffman` follows the codes of a small file up to the last.
Source of the format: ITU-T T.81, annexes B and F.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from ..exif import orientation, orientation_in_xmp
from ..header import Header, RefusedError, check_segments, check_size, cut_short
from ..limits import Limits
from . import huffman
from .standard_tables import STANDARD_TABLES

_TEM = 0x01  # a marker without content
_APP1 = 0xE1
_XMP = b"http://ns.adobe.com/xap/1.0/\0"  # the start of an APP1 segment
_SCAN = 0xDA
_END = 0xD9
_HUFFMAN_TABLES = 0xC4
_QUANTISATION = 0xDB
_RESTART_INTERVAL = 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_LEGAL = _FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE} | set(range(0xE0, 0xF0))
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_NO_PADDING = re.compile(rb"[^\0\xff\xd0-\xd7]|(?<!\xff)[\xd0-\xd7]")  # padding: zeros, fill bytes, restart markers


@dataclass
class _State:
    """The tables and the frame of the segments read so far."""

    frame: huffman.Frame | None = None
    kind: int = 0
    orientation: int | None = None
    orientation_in_xmp: int | None = None
    interval: int = 0
    tables: dict[int, bytes] = field(default_factory=lambda: dict(STANDARD_TABLES))
    to_follow: int = 0
    """Bytes of scans whose codes may still be followed."""
    damage: str = ""

    def note(self, damage: str) -> None:
        self.damage = self.damage or damage


def inspect(data: bytes, limits: Limits) -> Header:
    """Return the header of a JPEG.

    Raises:
        RefusedError: the file has no image, lacks its end, or exceeds a limit.
    """
    state = _State(to_follow=limits.followed_bytes)
    at = 2
    segments = 0
    scans = 0
    while True:
        check_segments(segments := segments + 1, limits)
        marker, start = _next_marker(data, at, state)
        if marker == _END:
            break
        if marker == _TEM:
            at = start
            continue
        end = start + int.from_bytes(data[start : start + 2], "big")
        content = data[start + 2 : end]
        if marker not in _LEGAL or end < start + 2:
            state.note(f"illegal marker 0xFF{marker:02X}")
            at = start
            continue
        at = end
        if marker == _SCAN:
            scans += 1
            if scans > limits.scans:
                raise RefusedError(
                    f"found more than {limits.scans} scans, which take long to decode; save it again as a baseline"
                    " JPEG, or raise Limits.scans with edge_crnn.images.set_limits"
                )
            at = _scan(data, content, end, state)
        else:
            _segment(marker, content, state, limits)
    if state.frame is None or not scans:
        raise cut_short(len(data))
    turned = state.orientation or state.orientation_in_xmp or 1
    return Header(data, state.frame.width, state.frame.height, turned, damage=state.damage)


def _next_marker(data: bytes, at: int, state: _State) -> tuple[int, int]:
    """Return the next marker and the place where its content starts."""
    match = _MARKER.search(data, at)
    if match is None:
        raise cut_short(len(data))
    if _NO_PADDING.search(data, at, match.start()):
        state.note("extraneous bytes between segments")
    return data[match.end() - 1], match.end()


def _segment(marker: int, content: bytes, state: _State, limits: Limits) -> None:
    if marker in _FRAMES:
        _, height, width, count = struct.unpack_from(">BHHB", content)
        check_size(width, height, limits)
        if state.frame is not None:
            state.note("two frames")
        triples = struct.unpack_from(f"{3 * count}B", content, 6)
        components = {
            triples[number]: (triples[number + 1] >> 4, triples[number + 1] & 15) for number in range(0, 3 * count, 3)
        }
        state.frame = huffman.Frame(width, height, components)
        state.kind = marker
    elif marker == _APP1 and content.startswith(b"Exif\0\0"):
        state.orientation = state.orientation or orientation(content)
    elif marker == _APP1 and content.startswith(_XMP):
        state.orientation_in_xmp = orientation_in_xmp(content)
    elif marker == _RESTART_INTERVAL:
        (state.interval,) = struct.unpack_from(">H", content)
    elif marker == _HUFFMAN_TABLES:
        _huffman_tables(content, state)
    elif marker == _QUANTISATION:
        _check_quantisation(content, state)


def _huffman_tables(content: bytes, state: _State) -> None:
    at = 0
    while at < len(content):
        end = at + 17 + sum(content[at + 1 : at + 17])
        if end > len(content):
            state.note("a Huffman table that exceeds its segment")
        state.tables[content[at]] = content[at + 1 : end]
        at = end


def _check_quantisation(content: bytes, state: _State) -> None:
    at = 0
    while at < len(content):
        width = 2 if content[at] >> 4 else 1
        steps = content[at + 1 : at + 1 + 64 * width]
        if len(steps) < 64 * width or 0 in struct.unpack(">64H" if width == 2 else "64B", steps):
            state.note("an impossible quantisation table")
        at += 1 + 64 * width


def _scan(data: bytes, content: bytes, start: int, state: _State) -> int:
    """Check a scan's entropy-coded data; return the place where it ends."""
    match = _MARKER.search(data, start)
    if match is None:
        raise cut_short(len(data))
    end = match.start()
    while end > start and data[end - 1] == 0xFF:  # fill bytes
        end -= 1
    if state.damage or state.frame is None:
        return end
    scan = data[start:end]
    if state.kind in _SEQUENTIAL:
        follow = len(scan) <= state.to_follow
        state.to_follow -= len(scan)
        state.note(huffman.damage_of(scan, content, state.frame, state.tables, state.interval, follow=follow))
    return end
