"""Degrades rendered plates and lines of text as a camera would: dirt, view, lens, light, sensor and file.

`negative_chance` inverts single images; `px_per_mm` sets the resolution.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import BackendUnavailable

Image = npt.NDArray[np.uint8]
Range = tuple[float, float]

PX_PER_MM = 0.75
"""Resolution of the plate before the camera's view, in pixels per millimetre."""


@dataclass(frozen=True)
class Preset:
    """The ranges of a camera's faults. Every plate draws its quantities uniformly from them."""

    name: str
    px_per_mm: Range = (0.5, 0.5)
    """Pixels of the image per millimetre of the plate, that is, its distance. A long plate is 520 mm wide."""
    margin: Range = (0.0, 0.0)
    """Margin of the crop on each side, in heights of the plate; negative margins cut into it."""
    cut: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Shares of the plate outside the crop at its left, top, right and bottom; such a side has no margin."""
    rotation_deg: float = 0.0
    """Largest rotation in either direction, in degrees."""
    perspective: float = 0.0
    """Largest shift of each corner, in heights of the plate."""
    blur_mm: Range = (0.0, 0.0)
    """Standard deviation of the lens blur, in millimetres on the plate; a stroke is some 10 mm wide."""
    motion_mm: Range = (0.0, 0.0)
    """Distance that the plate moves during the exposure, in millimetres, at any angle."""
    motion_chance: float = 0.0
    slope: float = 0.0
    """Largest change of the light from the middle to an edge, as a fraction."""
    shadow_chance: float = 0.0
    """Probability of a straight shadow edge across the plate."""
    shadow: Range = (1.0, 1.0)
    """Fraction of the light that is left in the shadow."""
    glare_chance: float = 0.0
    """Probability of a soft bright spot, from a lamp or the sun."""
    contrast: Range = (1.0, 1.0)
    """Fraction of the contrast that is left."""
    brightness: float = 0.0
    """Largest shift of all levels in either direction, of 255."""
    gamma: Range = (1.0, 1.0)
    noise: Range = (0.0, 0.0)
    """Standard deviation of the sensor's noise, in levels of 255, in each colour."""
    negative_chance: float = 0.0
    """Probability of a negative, as some infrared cameras show coloured plates."""
    jpeg: tuple[int, int] | None = None
    """Quality of JPEG compression; None: no compression."""
    dirt_chance: float = 0.0
    """Probability of patches of mud, dust or snow."""
    dirt: Range = (0.0, 0.0)
    """Approximate share of the plate that the patches cover at their thickest."""
    dirt_cover: Range = (0.0, 0.0)
    """Opacity of the patches, as a fraction."""
    clutter: int = 0
    """Largest number of edges of other objects right outside the plate, such as slots and trim."""


NONE = Preset("none")
MILD = Preset(
    "mild",
    px_per_mm=(0.32, 0.5),
    margin=(0.0, 0.08),
    rotation_deg=2.0,
    perspective=0.04,
    blur_mm=(0.0, 2.0),
    motion_mm=(0.0, 4.0),
    motion_chance=0.2,
    slope=0.2,
    contrast=(0.7, 1.0),
    brightness=20.0,
    gamma=(0.8, 1.25),
    noise=(0.0, 5.0),
    jpeg=(70, 95),
)
HEAVY = Preset(
    "heavy",
    px_per_mm=(0.2, 0.45),
    margin=(-0.02, 0.16),
    rotation_deg=5.0,
    perspective=0.09,
    blur_mm=(0.0, 4.2),
    motion_mm=(2.0, 12.0),
    motion_chance=0.4,
    slope=0.4,
    shadow_chance=0.25,
    shadow=(0.45, 0.8),
    glare_chance=0.15,
    contrast=(0.42, 1.0),
    brightness=40.0,
    gamma=(0.6, 1.7),
    noise=(0.0, 12.0),
    negative_chance=0.03,
    jpeg=(35, 90),
)
TRAINING = Preset(
    "training",
    px_per_mm=(0.17, 0.5),
    margin=(-0.03, 0.25),
    rotation_deg=6.0,
    perspective=0.1,
    blur_mm=(0.0, 4.5),
    motion_mm=(0.0, 13.0),
    motion_chance=0.4,
    slope=0.45,
    shadow_chance=0.3,
    shadow=(0.4, 0.85),
    glare_chance=0.2,
    contrast=(0.38, 1.0),
    brightness=45.0,
    gamma=(0.55, 1.8),
    noise=(0.0, 14.0),
    negative_chance=0.08,
    jpeg=(30, 98),
    dirt_chance=0.25,
    dirt=(0.02, 0.2),
    dirt_cover=(0.2, 0.75),
    clutter=4,
)
"""A preset to train with, beyond `heavy` in range and kind: a network does not learn to read what it never sees."""
PRESETS = {preset.name: preset for preset in (NONE, MILD, HEAVY, TRAINING)}
VARIED = replace(MILD, name="varied", px_per_mm=(0.7 * PX_PER_MM, PX_PER_MM), margin=(-0.02, 0.06))
"""Faults that are added to an image that a camera has taken."""
_HEIGHT_MM = 110.0
"""The height that `vary` takes an image to show, that of a long plate."""


def find_preset(preset: Preset | str) -> Preset:
    """Return the preset of that name; a `Preset` is passed through."""
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[preset]


def check_installed() -> None:
    """Raise BackendUnavailable unless Pillow and OpenCV, which render, are installed."""
    for package in ("PIL", "cv2"):
        if importlib.util.find_spec(package) is None:
            raise BackendUnavailable(f"rendering needs {package}: pip install 'edge-crnn[train]'")


def photograph(canvas: Image, pad: int, preset: Preset, rng: np.random.Generator) -> Image:
    """Render a camera's view of a plate that lies `pad` pixels inside `canvas`, at PX_PER_MM.

    `canvas` is (H, W, 3) uint8, BGR; so is the crop that comes back, in its own size.
    """
    # What later presets have draws no random number where it is 0, so that the images of earlier ones stay.
    if preset.clutter:
        canvas = _cluttered(canvas, pad, preset, rng)
    if preset.dirt_chance:
        canvas = _dirty(canvas, preset, rng)
    px_per_mm = rng.uniform(*preset.px_per_mm)
    image = _view(canvas, pad, px_per_mm, preset, rng)
    image = _lens(image, px_per_mm, preset, rng)
    image = _light(image, preset, rng)
    image = _sensor(image, preset, rng)
    return _file(image, preset, rng)


def vary(image: Image, rng: np.random.Generator) -> Image:
    """Change an image as if it had been taken once more, a little worse: view, lens, light, sensor and file.

    `image` is (H, W, 3) uint8, BGR, a close crop of a text; so is the result, which may be smaller.
    """
    image = _view(image, 0, rng.uniform(*VARIED.px_per_mm), VARIED, rng)
    image = _lens(image, image.shape[0] / _HEIGHT_MM, VARIED, rng)
    image = _light(image, VARIED, rng)
    image = _sensor(image, VARIED, rng)
    return _file(image, VARIED, rng)


def _cluttered(canvas: Image, pad: int, preset: Preset, rng: np.random.Generator) -> Image:
    """Draw straight edges, each of one colour, around the plate."""
    import cv2

    plate = np.s_[pad:-pad, pad:-pad]
    image = canvas.copy()
    height, width = image.shape[:2]
    for _ in range(rng.integers(preset.clutter + 1)):
        level = rng.uniform(0, 255) + rng.uniform(-20, 20, 3)
        thick, away, slant = (int(rng.integers(*ends)) for ends in ((2, pad), (0, pad), (-pad // 3, pad // 3 + 1)))
        side = rng.integers(4)
        if side < 2:
            row = away - thick if side else height - away + thick
            ends = (0, row), (width, row + slant)
        else:
            column = away - thick if side == 2 else width - away + thick
            ends = (column, 0), (column + slant, height)
        cv2.line(image, *ends, np.clip(level, 0, 255).tolist(), thick, cv2.LINE_AA)
    image[plate] = canvas[plate]
    return image


def _dirty(canvas: Image, preset: Preset, rng: np.random.Generator) -> Image:
    """Draw soft patches of one colour, from brown to white, about 10 to 40 mm wide."""
    import cv2

    if rng.random() >= preset.dirt_chance:
        return canvas
    height, width = canvas.shape[:2]
    cell = rng.uniform(10, 40) * PX_PER_MM
    grid = rng.random((round(height / cell) + 2, round(width / cell) + 2), np.float32)
    thick = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    bound = np.float32(np.quantile(grid, 1 - rng.uniform(*preset.dirt)))
    soft = rng.uniform(0.05, 0.3)
    cover = rng.uniform(*preset.dirt_cover)
    hidden = np.clip((thick - bound) / np.float32(soft) + 0.5, 0, 1) * np.float32(cover)
    colour = rng.uniform(40, 230) + np.array([-20, 0, 15]) * rng.uniform(0, 1.5)
    dirt = cv2.rectangle(np.empty_like(canvas), (0, 0), (width, height), np.clip(colour, 0, 255).tolist(), -1)
    return cv2.blendLinear(dirt, canvas, hidden, 1 - hidden).astype(np.uint8, copy=False)


def _view(canvas: Image, pad: int, px_per_mm: float, preset: Preset, rng: np.random.Generator) -> Image:
    """Turn and tilt the plate, crop it, and bring it to the image's resolution."""
    import cv2

    height, width = canvas.shape[0] - 2 * pad, canvas.shape[1] - 2 * pad
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    angle = np.deg2rad(_either_way(preset.rotation_deg, rng))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    seen = flat @ turn + rng.uniform(-1, 1, (4, 2)) * (preset.perspective * height)
    margins = rng.uniform(*preset.margin, 4) * height
    if any(preset.cut):
        margins = np.where(preset.cut, -np.array(preset.cut) * np.tile(np.ptp(seen, axis=0), 2), margins)
    left, top, right, bottom = margins
    seen += (left, top) - seen.min(axis=0)
    view = np.maximum(np.rint(seen.max(axis=0) + np.array([right, bottom])), 1).astype(int)
    matrix = cv2.getPerspectiveTransform((flat + pad).astype(np.float32), seen.astype(np.float32))
    near = cv2.warpPerspective(canvas, matrix, view.tolist(), borderMode=cv2.BORDER_REPLICATE)
    size = np.maximum(np.rint(view * (px_per_mm / PX_PER_MM)), 1).astype(int)
    return cv2.resize(near, size.tolist(), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _lens(image: Image, px_per_mm: float, preset: Preset, rng: np.random.Generator) -> Image:
    """Blur by focus and by motion."""
    import cv2

    sigma = rng.uniform(*preset.blur_mm) * px_per_mm
    if sigma > 0.2:  # a narrower kernel rounds to the identity
        image = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    if rng.random() < preset.motion_chance:
        way = rng.uniform(*preset.motion_mm) * px_per_mm
        image = cv2.filter2D(image, -1, _streak(way, rng.uniform(0, np.pi))).astype(np.uint8, copy=False)
    return image


def _streak(length: float, angle: float) -> npt.NDArray[np.float32]:
    """Make the kernel of a point that moves `length` pixels: odd square, float32, sum 1."""
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = np.linspace(-length / 2, length / 2, 8 * reach + 9)
    columns = reach + np.cos(angle) * steps
    rows = reach + np.sin(angle) * steps
    # Each point is shared bilinearly among four cells, so that a short way blurs a little, not nothing.
    for row in (np.floor(rows), np.floor(rows) + 1):
        for column in (np.floor(columns), np.floor(columns) + 1):
            weight = (1 - abs(rows - row)) * (1 - abs(columns - column))
            inside = (row < len(kernel)) & (column < len(kernel)) & (row >= 0) & (column >= 0)
            np.add.at(kernel, (row[inside].astype(int), column[inside].astype(int)), weight[inside])
    return kernel / np.float32(kernel.sum())


def _light(image: Image, preset: Preset, rng: np.random.Generator) -> Image:
    """Apply uneven light: a gradient, a shadow's edge, a bright spot."""
    import cv2

    height, width = image.shape[:2]
    across = np.linspace(-1, 1, width, dtype=np.float32)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 1 + _either_way(preset.slope, rng) * across + _either_way(preset.slope, rng) * down
    if rng.random() < preset.shadow_chance:
        tilt = rng.uniform(-1, 1)
        offset = rng.uniform(-0.8, 0.8)
        soft = rng.uniform(0.03, 0.3)
        side = 1 if rng.random() < 0.5 else -1
        lit = np.clip((across + tilt * down - offset) * (side / soft) + 0.5, 0, 1)
        left = rng.uniform(*preset.shadow)
        light = light * (left + (1 - left) * lit)
    pixels = cv2.merge([light] * 3)  # broadcasting over three colours takes NumPy three times as long
    pixels *= image
    if rng.random() < preset.glare_chance:
        x = rng.uniform(-1, 1)
        y = rng.uniform(-1, 1)
        radius = rng.uniform(0.2, 0.6)
        spot = np.exp(-((across - x) ** 2 * (width / height) ** 2 / 4 + (down - y) ** 2) / (2 * radius**2))
        pixels += (spot * np.float32(rng.uniform(40, 150)))[..., None]
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)


def _sensor(image: Image, preset: Preset, rng: np.random.Generator) -> Image:
    """Apply exposure, noise, and the camera's tone curve."""
    import cv2

    contrast = rng.uniform(*preset.contrast)
    shift = _either_way(preset.brightness, rng)
    low, high = preset.gamma
    gamma = np.exp(rng.uniform(np.log(low), np.log(high)))
    levels = np.arange(256) / 255
    curve = np.clip((255 * levels**gamma - 127.5) * contrast + 127.5 + shift, 0, 255)
    if rng.random() < preset.negative_chance:
        curve = 255 - curve
    image = cv2.LUT(image, curve.astype(np.uint8)).astype(np.uint8, copy=False)
    sigma = rng.uniform(*preset.noise)
    if sigma > 0:
        noise = rng.standard_normal(image.shape, np.float32)
        noise *= np.float32(sigma)
        noise += image
        image = np.clip(noise, 0, 255, out=noise).astype(np.uint8)
    return image


def _file(image: Image, preset: Preset, rng: np.random.Generator) -> Image:
    """Compress the image with JPEG and decode it."""
    import cv2

    if preset.jpeg is None:
        return image
    low, high = preset.jpeg
    quality = int(rng.integers(low, high + 1))
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded the line before
    return decoded.astype(np.uint8, copy=False)


def _either_way(largest: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-largest, largest))
