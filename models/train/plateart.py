"""Drawn Vietnamese plates: made-up texts in free fonts at the proportions of the regulations, worn and dirty as in the street.

A plate is a BGR picture seen from straight in front, without a margin, so its four corners are the picture's.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from platetext import made_up

FONTS = [
    Path("/usr/share/fonts/truetype") / name
    for name in (
        "opendin/OSP-DIN.ttf",
        "opendin/OSP-DIN.ttf",
        "roboto/unhinted/RobotoCondensed-Medium.ttf",
        "roboto/unhinted/RobotoCondensed-Bold.ttf",
        "liberation/LiberationSansNarrow-Bold.ttf",
        "liberation/LiberationSansNarrow-Regular.ttf",
        "liberation/LiberationSans-Bold.ttf",
        "dejavu/DejaVuSansCondensed-Bold.ttf",
        "dejavu/DejaVuSansCondensed.ttf",
    )
]
# millimetres: before 2025 and from 2025 (QCVN 08:2024/BCA)
SIZES = {"car1": ((520, 110), (470, 110)), "car2": ((330, 165), (280, 200)), "motorbike": ((190, 140),)}
BACKGROUNDS = {"white": (225, 230, 230), "yellow": (40, 190, 235), "blue": (150, 80, 20), "red": (35, 25, 180)}


@dataclass
class Plate:
    """A drawn plate: BGR pixels, the text of each line, its kind."""

    pixels: np.ndarray
    lines: list[str]
    kind: str


@lru_cache(maxsize=4096)
def glyph(font: Path, char: str) -> np.ndarray:
    """How much ink there is at each pixel, 0 to 1, cut to the character's own outline; capitals are 64 pixels tall."""
    face = ImageFont.truetype(str(font), 90)
    image = Image.new("L", (140, 140))
    ImageDraw.Draw(image).text((20, 10), char, font=face, fill=255)
    left, top, right, bottom = image.getbbox()
    return np.asarray(image.crop((left, top, right, bottom)), np.float32) / 255


def put(ink: np.ndarray, mark: np.ndarray, x: float, y: float, wide: float, tall: float) -> None:
    left, top = int(round(x)), int(round(y))
    size = (max(1, int(round(wide))), max(1, int(round(tall))))
    mark = cv2.resize(mark, size, interpolation=cv2.INTER_AREA)
    mark = mark[: ink.shape[0] - top, : ink.shape[1] - left]
    if left >= 0 and top >= 0 and mark.size:
        place = ink[top : top + mark.shape[0], left : left + mark.shape[1]]
        np.maximum(place, mark, out=place)


def write(
    ink: np.ndarray, line: str, dash: int | None, dot: int | None, top: float, tall: float, font: Path, fill: float, bold: int
) -> None:
    """One line of characters in slots of equal width; a dash and a dot stand before the given characters."""
    width = ink.shape[1]
    gap, pitch = 0.45, 1.0
    total = len(line) * pitch + (gap if dash is not None else 0) + (gap * 0.6 if dot is not None else 0)
    unit = min(fill * width / total, 0.72 * tall)
    x = (width - total * unit) / 2
    for index, char in enumerate(line):
        if index == dash:
            put(ink, np.ones((2, 2), np.float32), x + 0.05 * unit, top + 0.46 * tall, 0.32 * unit, 0.1 * tall)
            x += gap * unit
        if index == dot:
            put(ink, np.ones((2, 2), np.float32), x + 0.04 * unit, top + 0.86 * tall, 0.14 * unit, 0.13 * tall)
            x += 0.6 * gap * unit
        mark = glyph(font, char)
        if bold > 1:
            mark = cv2.dilate(mark, np.ones((bold, bold), np.uint8))
        share = min(0.84, 0.84 * mark.shape[1] / mark.shape[0] / 0.5) if char in "1" else 0.84
        put(ink, mark, x + (1 - share) / 2 * unit, top, share * unit, tall)
        x += pitch * unit


def draw_plate(kind: str, rng: np.random.Generator, lines: list[str] | None = None) -> Plate:
    """One plate of `kind` (car1, car2, motorbike), 60 (one line) or 100 pixels tall."""
    lines = lines or made_up(kind, rng)
    wide_mm, tall_mm = SIZES[kind][rng.integers(len(SIZES[kind]))]
    scale = 60 / tall_mm if kind == "car1" else 100 / tall_mm
    width, height = int(wide_mm * scale), int(tall_mm * scale)
    army = lines[0][:2].isalpha()
    share = rng.random()
    colour = "red" if army else "white" if share < 0.55 else "yellow" if share < 0.85 else "blue" if share < 0.97 else "red"
    paint = np.array(BACKGROUNDS[colour], np.float32) * rng.uniform(0.8, 1.1) + rng.uniform(-25, 25, 3)
    letters = np.array((235, 235, 235) if colour in ("blue", "red") else (30, 28, 28), np.float32) + rng.uniform(-20, 35)
    if colour in ("white", "yellow") and rng.random() < 0.1:
        letters = rng.uniform(10, 130, 3).astype(np.float32)
    font = FONTS[rng.integers(len(FONTS))]
    fill, bold = rng.uniform(0.82, 0.96), int(rng.choice((1, 1, 1, 3, 5)))
    ink = np.zeros((height, width), np.float32)
    margin = rng.uniform(0.06, 0.13)
    dotted = rng.random() < 0.8
    if len(lines) == 1:
        head = 2 if army else len(lines[0]) - 5 if len(lines[0]) > 7 else 3
        tail = len(lines[0]) - 2 if dotted and len(lines[0]) - head == 5 else None
        dash = head if rng.random() < 0.85 else None
        write(ink, lines[0], dash, tail, (margin + 0.06) * height, (0.86 - 2 * margin) * height, font, fill, bold)
    else:
        part, margin = rng.uniform(0.37, 0.42), 0.6 * margin
        upper, lower = lines
        dash = 2 if kind == "motorbike" and rng.random() < 0.9 else None
        write(ink, upper, dash, None, margin * height, part * height, font, fill * rng.uniform(0.7, 1), bold)
        dot = len(lower) - 2 if dotted and len(lower) == 5 else None
        write(ink, lower, None, dot, (1 - margin - part) * height, part * height, font, fill, bold)
    pixels = paint + (letters - paint) * ink[:, :, None] * rng.uniform(0.75, 1)
    relief = cv2.GaussianBlur(ink, (0, 0), 2)
    pixels += (np.roll(relief, 2, 0) - relief)[:, :, None] * rng.uniform(-40, 60)
    edge = int(rng.integers(1, 5))
    if rng.random() < 0.7:
        cv2.rectangle(pixels, (edge, edge), (width - 1 - edge, height - 1 - edge), letters.tolist(), int(rng.integers(1, 4)))
    if rng.random() < 0.3:  # a frame of plastic or chrome around it
        frame = np.full(3, rng.uniform(10, 220)) + rng.uniform(-10, 10, 3)
        cv2.rectangle(pixels, (0, 0), (width - 1, height - 1), frame.tolist(), int(rng.integers(3, 9)))
    for _ in range(int(rng.integers(0, 4))):  # bolts and mud
        spot = (int(rng.uniform(0, width)), int(rng.uniform(0, height) if rng.random() < 0.4 else rng.choice((0.08, 0.5)) * height))
        shade = rng.uniform(20, 200, 1) + rng.uniform(-15, 15, 3)
        cv2.circle(pixels, spot, int(rng.integers(1, 5)), shade.tolist(), -1, cv2.LINE_AA)
    if rng.random() < 0.35:
        pixels = soil(pixels, rng)
    return Plate(pixels.clip(0, 255).astype(np.uint8), lines, kind)


def soil(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dust, mud or faded paint: slow blotches over the plate."""
    height, width = pixels.shape[:2]
    grain = rng.random((int(rng.integers(2, 8)), int(rng.integers(2, 14)))).astype(np.float32)
    cover = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None].clip(0, 1) ** 2 * rng.uniform(0.1, 0.6)
    dust = np.array((rng.uniform(60, 190),) * 3, np.float32) * (0.8, 0.95, 1.05)
    return pixels * (1 - cover) + dust * cover


def kinds(rng: np.random.Generator) -> str:
    """Two-line car plates come up most: the photos have next to none."""
    return str(rng.choice(("car1", "car2", "motorbike"), p=(0.3, 0.38, 0.32)))
