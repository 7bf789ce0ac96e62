"""Seeded moving street scenes with rendered plates, and the truth about each vehicle.

The plates are rendered. A result on these scenes says nothing about how often plates of a real street are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

from edge_crnn.training.degrade import PX_PER_MM
from edge_crnn.training.fonts import find_fonts
from edge_crnn.training.glyphs import Face, font_face
from edge_crnn.training.layouts import label_at, read_label
from edge_crnn.training.plates import painting
from edge_crnn.training.plates.table import FORMS, ROAD
from edge_crnn.watch.frame import Pixels, Quad, box_of

Condition: TypeAlias = Literal["day", "dusk", "night", "rain"]
Motion: TypeAlias = Literal["approaching", "stopping", "leaving", "returning", "parked"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
MOTIONS: tuple[Motion, ...] = get_args(Motion)

_LIGHT = {"day": 1.0, "dusk": 0.6, "night": 0.35, "rain": 0.75}
_NOISE = {"day": 3, "dusk": 5, "night": 7, "rain": 4}
_EXPOSURE = {"day": 0.002, "dusk": 0.005, "night": 0.008, "rain": 0.004}
"""Seconds that the shutter is open."""
_CAR = (3.4, 2.7)
"""Width and height of a car's front, in widths of a plate of 520 mm."""
_LONGEST_MM = 520.0
_MARGIN = 24
"""Pixels of background beyond each edge of the frame, into which the shake moves it."""
_AWAY = 14.0
"""Seconds that a returning vehicle is out of view: longer than `watch` keeps an absent passage open."""


@dataclass(frozen=True, eq=False)
class Vehicle:
    """A vehicle and its path."""

    label: str
    """The text in the symbols of the network."""
    text: str
    """The text on the plate."""
    kind: str
    """The form of the plate."""
    motion: Motion
    visible: tuple[tuple[float, float], ...]
    """First and last second of each passage through the view."""
    lane: float
    """Horizontal place in the frame, in widths of it."""
    widths: tuple[float, float]
    """Least and greatest width of a long plate, in pixels of a frame that is 720 pixels high."""
    yaw: float
    """Angle between the car and the camera's axis, in radians."""
    roll: float
    """Slope of the plate in the frame, in radians."""
    front: Pixels
    """The front of the car, head on."""
    plate: tuple[float, float, float, float]
    """Left, top, right and bottom edge of the plate in `front`, in pixels."""

    @property
    def direction(self) -> str:
        """`away` if it leaves the camera, or else `near`."""
        return "away" if self.motion == "leaving" else "near"

    def way(self, seconds: float) -> float | None:
        """Return how near it is, from 0 (far) to 1 (near); None: it is out of view."""
        for first, last in self.visible:
            if first <= seconds <= last:
                share = (seconds - first) / (last - first)
                if self.motion == "parked":
                    return 0.7  # farther away, no window around it can be read
                if self.motion == "leaving":
                    return 1 - share
                if self.motion == "stopping":
                    # It drives for a quarter of the time, stands for half of it, and drives on.
                    return min(2.4 * share, 0.6) + 1.6 * max(share - 0.75, 0)
                return share
        return None


@dataclass(frozen=True)
class Scene:
    """A scene; the same seed gives the same frames.

    Frames are (height, width, 3) uint8 BGR.
    """

    seed: int
    vehicles: tuple[Vehicle, ...]
    condition: Condition = "day"
    seconds: float = 6.0
    rate: float = 25.0
    """Frames per second."""
    height: int = 720
    """720 or 1080; the width is 16/9 of it."""
    jpeg: int | None = None
    """Quality with which each frame is compressed; None: it is not."""

    @property
    def width(self) -> int:
        """Width of the frames in pixels."""
        return self.height * 16 // 9

    @property
    def count(self) -> int:
        """Number of frames."""
        return round(self.seconds * self.rate)

    def quad(self, vehicle: Vehicle, seconds: float) -> Quad | None:
        """Return where the plate of a vehicle is, without the shake; None: it is out of view."""
        matrix = self._matrix(vehicle, seconds)
        if matrix is None:
            return None
        left, top, right, bottom = vehicle.plate
        return _mapped(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]), matrix)

    def shift(self, number: int) -> tuple[int, int]:
        """Return by how many pixels (x, y) the shake has moved a frame."""
        return round(1.4 * math.sin(number * 0.7 + self.seed)), round(math.sin(number * 1.1))

    def truth(self, number: int) -> list[tuple[Vehicle, Quad]]:
        """Return the vehicles whose plate is entirely in a frame and not hidden, and where it is in its pixels."""
        places = []
        for vehicle in self.vehicles:
            quad = self.quad(vehicle, number / self.rate)
            if quad is not None and not self._is_hidden(vehicle, quad, number / self.rate):
                quad = (quad + np.array(self.shift(number), np.float32)).astype(np.float32)
                left, top, right, bottom = box_of(quad)
                if left >= 0 and top >= 0 and right < self.width and bottom < self.height:
                    places.append((vehicle, quad))
        return places

    def _is_hidden(self, vehicle: Vehicle, quad: Quad, seconds: float) -> bool:
        """Return whether a car that is rendered later covers a part of a plate."""
        order = sorted(self.vehicles, key=lambda other: other.way(seconds) or 0.0)
        for other in order[order.index(vehicle) + 1 :]:
            matrix = self._matrix(other, seconds)
            if matrix is not None:
                outline = _mapped(_corners(other.front), matrix)
                if cv2.intersectConvexConvex(outline, quad)[0] > 0:
                    return True
        return False

    def frames(self) -> Iterator[Pixels]:
        """Render the frames, one by one."""
        rng = np.random.default_rng(self.seed)
        street = _street(self.width + 2 * _MARGIN, self.height + 2 * _MARGIN, rng)
        noise = _noise(self.width, self.height, _NOISE[self.condition])
        for number in range(self.count):
            yield self._frame(number, street.copy(), noise, rng)

    def _frame(self, number: int, canvas: Pixels, noise: tuple[Pixels, Pixels], rng: np.random.Generator) -> Pixels:
        seconds = number / self.rate
        _draw_movers(canvas, seconds, self.seed)
        # The farthest car is rendered first, so that nearer ones hide it.
        for vehicle in sorted(self.vehicles, key=lambda vehicle: vehicle.way(seconds) or 0.0):
            self._draw(vehicle, seconds, canvas)
        x, y = self.shift(number)
        view = canvas[_MARGIN - y : _MARGIN - y + self.height, _MARGIN - x : _MARGIN - x + self.width]
        # Exposure follows the light slowly, by a few percent.
        view = _levels(cv2.convertScaleAbs(view, alpha=_LIGHT[self.condition] * (1 + 0.03 * math.sin(seconds / 3))))
        if self.condition == "rain":
            for left, top in zip(rng.integers(self.width, size=80), rng.integers(self.height, size=80), strict=True):
                cv2.line(view, (int(left), int(top)), (int(left) + 2, int(top) + 18), (170, 170, 170), 1)
        more, less = noise
        row, column = (int(start) for start in rng.integers(0, 64, 2))
        part = np.s_[row : row + self.height, column : column + self.width]
        view = _levels(cv2.subtract(cv2.add(view, more[part]), less[part]))
        if self.jpeg is not None:
            data = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])[1]
            view = _levels(cv2.imdecode(data, cv2.IMREAD_COLOR))
        return np.asarray(view, np.uint8)

    def _matrix(self, vehicle: Vehicle, seconds: float) -> npt.NDArray[np.float64] | None:
        """Return the homography from a car's front to the frame."""
        near = vehicle.way(seconds)
        if near is None:
            return None
        # At constant speed the distance shrinks evenly, and the width is its inverse.
        low, high = vehicle.widths
        long_plate = self.height / 720 / (1 / low + near * (1 / high - 1 / low))
        width, height = _CAR[0] * long_plate, _CAR[1] * long_plate
        grown = (long_plate * 720 / self.height - low) / (high - low)
        centre = np.array([vehicle.lane * self.width, self.height * (0.25 + 0.4 * grown)])
        across, slope = width * math.cos(vehicle.yaw) / 2, math.tan(vehicle.roll)
        far = 1 - 0.25 * abs(math.sin(vehicle.yaw))
        left, right = (far, 1.0) if vehicle.yaw > 0 else (1.0, far)
        corners = [(-across, -left), (across, -right), (across, right), (-across, left)]
        target = centre + np.array([(x, side * height / 2 + x * slope) for x, side in corners])
        corners_before = np.asarray(_corners(vehicle.front), np.float32)
        return np.asarray(cv2.getPerspectiveTransform(corners_before, target.astype(np.float32)), np.float64)

    def _draw(self, vehicle: Vehicle, seconds: float, canvas: Pixels) -> None:
        matrix = self._matrix(vehicle, seconds)
        if matrix is None:
            return
        rows, columns = vehicle.front.shape[:2]
        outline = _mapped(_corners(vehicle.front), matrix) + _MARGIN
        left, top, right, bottom = (int(edge) for edge in box_of(outline))
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right + 1, canvas.shape[1]), min(bottom + 1, canvas.shape[0])
        if right <= left or bottom <= top:
            return
        move = np.array([(1, 0, _MARGIN - left), (0, 1, _MARGIN - top), (0, 0, 1)], np.float64)
        size = right - left, bottom - top
        car = cv2.warpPerspective(vehicle.front, move @ matrix, size, flags=cv2.INTER_LINEAR)
        mask = np.zeros(car.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, (outline - np.array((left, top))).astype(np.int32), 255)
        before, after = self.quad(vehicle, seconds - 0.02), self.quad(vehicle, seconds + 0.02)
        if before is not None and after is not None:
            blur = round(float(np.abs(after - before).max()) / 0.04 * _EXPOSURE[self.condition])
            if blur > 1:
                car = cv2.blur(car, (1, blur))
        cv2.copyTo(car, mask, canvas[top:bottom, left:right])
        if self.condition == "night":
            for x, y in _mapped(np.array([(0.1 * columns, 0.6 * rows), (0.9 * columns, 0.6 * rows)]), matrix) + _MARGIN:
                cv2.circle(canvas, (int(x), int(y)), max(size[0] // 14, 2), (255, 255, 255), -1, cv2.LINE_AA)


def passage(
    seed: int,
    condition: Condition | None = None,
    *,
    motion: Motion | None = None,
    vehicles: int | None = None,
    rate: float = 25.0,
    height: int = 720,
    jpeg: int | None = None,
) -> Scene:
    """Return a scene with one to three vehicles; what is None is chosen by the seed."""
    rng = np.random.default_rng(seed)
    condition = CONDITIONS[rng.integers(len(CONDITIONS))] if condition is None else condition
    number = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])) if vehicles is None else vehicles
    lanes = rng.permutation([0.5] if number == 1 else np.linspace(0.22, 0.78, number))
    parts = []
    for place, lane in enumerate(lanes):
        chosen = MOTIONS[rng.integers(len(MOTIONS))] if motion is None else motion
        first = 0.5 + 0.8 * place
        last = first + rng.uniform(3, 5) + (4 if chosen == "stopping" else 0)
        spans = [(first, last)]
        if chosen == "returning":
            spans.append((last + _AWAY, 2 * last - first + _AWAY))
        parts.append((chosen, tuple(spans), float(lane)))
    seconds = max(spans[-1][1] for _, spans, _ in parts) + 0.5
    cars = tuple(
        _vehicle(rng, chosen, ((0.0, seconds),) if chosen == "parked" else spans, lane) for chosen, spans, lane in parts
    )
    return Scene(seed, cars, condition, seconds, rate, height, jpeg)


def empty(seed: int, seconds: float, condition: Condition = "day", rate: float = 25.0, height: int = 720) -> Scene:
    """Return a scene without plates, in which people, cycles, a van with text, foliage and the light move."""
    return Scene(seed, (), condition, seconds, rate, height)


def as_video(scene: Scene, path: Path, codec: str = "libx264") -> None:
    """Write a scene as a video, such as `scene.mp4`. Needs PyAV."""
    import av

    with av.open(str(path), "w") as video:
        stream = video.add_stream(codec, rate=Fraction(scene.rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        for pixels in scene.frames():
            video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        video.mux(stream.encode())


def _corners(front: Pixels) -> npt.NDArray[np.float64]:
    rows, columns = front.shape[:2]
    return np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float64)


def _levels(image: Any) -> Pixels:
    """Return an image of OpenCV, whose types it does not state."""
    return np.asarray(image, np.uint8)


def _mapped(points: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64]) -> Quad:
    return np.asarray(cv2.perspectiveTransform(points[None].astype(np.float64), matrix)[0], np.float32)


@lru_cache(maxsize=1)
def _face() -> Face:
    return font_face(find_fonts()[0], tuple(FORMS))


def _vehicle(
    rng: np.random.Generator, motion: Motion, visible: tuple[tuple[float, float], ...], lane: float
) -> Vehicle:
    kind = tuple(FORMS)[rng.integers(len(FORMS))]
    label = label_at(int(rng.integers(1 << 32)), 0, kind)
    form = ROAD[kind]
    canvas = painting.paint(form, label, _face(), rng, "day")
    pad = painting.PAD
    scale = 300 / (_LONGEST_MM * PX_PER_MM)  # the greatest width of a plate in a frame
    plate = cv2.resize(canvas[pad:-pad, pad:-pad], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    front = _front(rng)
    height, width = plate.shape[:2]
    left, top = (front.shape[1] - width) // 2, round(0.8 * front.shape[0] - height / 2)
    front[top : top + height, left : left + width] = plate
    yaw, roll = math.radians(rng.uniform(-30, 30)), math.radians(rng.uniform(-4, 4))
    widths = float(rng.uniform(60, 90)), float(rng.uniform(180, 300))
    edges = (float(left), float(top), float(left + width), float(top + height))
    return Vehicle(label, read_label(label, kind), kind, motion, visible, lane, widths, yaw, roll, front, edges)


def _front(rng: np.random.Generator) -> Pixels:
    """Return the front of a car without a plate, on which a long plate is 300 pixels wide."""
    height, width = round(300 * _CAR[1]), round(300 * _CAR[0])
    colour = rng.integers(30, 220) + rng.uniform(-15, 15, 3)
    front = np.empty((height, width, 3), np.uint8)
    front[:] = np.clip(np.linspace(1.1, 0.7, height)[:, None, None] * colour, 0, 255)
    cv2.rectangle(front, (width // 8, height // 20), (width * 7 // 8, height * 2 // 5), (60, 50, 45), -1)
    cv2.rectangle(front, (width // 4, height * 11 // 20), (width * 3 // 4, height * 13 // 20), (25, 25, 25), -1)
    for row in range(height * 11 // 20, height * 13 // 20, 12):
        cv2.line(front, (width // 4, row), (width * 3 // 4, row), (90, 90, 90), 2)
    for x in (width // 10, width * 9 // 10):
        cv2.ellipse(front, (x, height * 3 // 5), (width // 14, height // 22), 0, 0, 360, (225, 230, 230), -1)
    cv2.putText(front, "TURBO 16V", (width * 3 // 8, height // 2), cv2.FONT_HERSHEY_DUPLEX, 1.2, (200, 200, 200), 2)
    return front


def _street(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Return a street without anything that moves: road, houses, shop signs and markings."""
    coarse = rng.integers(70, 130, (height // 24, width // 24, 3)).astype(np.uint8)
    street = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    for place, words in enumerate(("OPEN 24H", "CAFE 1987", "NO PARKING", "SALE 50%")):
        left = width * place // 4 + 20
        colour = tuple(int(value) for value in rng.integers(40, 230, 3))
        cv2.rectangle(street, (left, height // 12), (left + width // 6, height // 6), colour, -1)
        cv2.putText(street, words, (left + 8, height // 7), cv2.FONT_HERSHEY_DUPLEX, 0.9, (250, 250, 250), 2)
    for x in (width // 3, width * 2 // 3):
        for y in range(height // 3, height, height // 8):
            cv2.line(street, (x, y), (x, y + height // 16), (210, 210, 210), 6)
    return street


@lru_cache(maxsize=8)
def _noise(width: int, height: int, spread: float) -> tuple[Pixels, Pixels]:
    """Return what noise adds and what it subtracts, 64 pixels larger than a frame."""
    noise = np.random.default_rng(0).normal(0, spread, (height + 64, width + 64, 3))
    return np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8)


def _draw_movers(canvas: Pixels, seconds: float, seed: int) -> None:
    """Render two people, a cycle, a van with text, foliage and a shadow at their places."""
    height, width = canvas.shape[:2]
    for place in range(2):
        x = int((seconds * (40 + 25 * place) + 211 * (seed + place)) % (width + 80)) - 40
        y = height * (5 + place) // 10
        cv2.ellipse(canvas, (x, y), (14, 42), 0, 0, 360, (70 + 60 * place, 60, 90), -1)
        cv2.circle(canvas, (x, y - 52), 12, (150, 170, 205), -1)
    x = int((seconds * 130 + 97 * seed) % (width * 2)) - 60
    for wheel in (x, x + 60):
        cv2.circle(canvas, (wheel, height * 3 // 5), 22, (30, 30, 30), 3)
    x = int((seconds * 90 + 389 * seed) % (width * 4)) - 320
    cv2.rectangle(canvas, (x, height // 4), (x + 300, height // 2), (235, 235, 235), -1)
    cv2.putText(canvas, "02-555-0123", (x + 24, height * 2 // 5), cv2.FONT_HERSHEY_DUPLEX, 1.3, (140, 40, 30), 3)
    for leaf in range(24):
        sway = 6 * math.sin(seconds * 2 + leaf)
        centre = int(width * 0.93 + 40 * math.sin(leaf * 2.4) + sway), int(height * 0.3 + 70 * math.cos(leaf * 1.7))
        cv2.circle(canvas, centre, 14, (40, 90 + 3 * leaf, 50), -1)
    shadow = canvas[height * 4 // 5 :, : int(width * (0.3 + 0.1 * math.sin(seconds / 4)))]
    shadow[:] = cv2.convertScaleAbs(shadow, alpha=0.7)
