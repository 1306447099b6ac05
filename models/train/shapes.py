"""The shapes of drawn scenes: every kind of road user as a handful of polygons in its box.

A shape is drawn in a unit square (x to the right, y down, the wheels at y = 1), seen from the side (view 0), from behind or in
front (1), or from above (2). Colours, proportions, and detail are random.
"""

import numpy as np
from PIL import ImageDraw

# Width and height in metres of each kind, seen from the side, from the end, from above.
METRES = {
    "car": ((4.4, 1.6), (1.9, 1.6), (1.9, 4.4)),
    "motorbike": ((1.9, 1.8), (0.8, 1.8), (0.8, 1.9)),
    "bus": ((10.0, 3.0), (2.6, 3.1), (2.6, 10.0)),
    "truck": ((7.0, 2.9), (2.4, 2.9), (2.4, 7.0)),
    "person": ((0.6, 1.7), (0.6, 1.7), (0.5, 0.5)),
}
GLASS = ((40, 55, 70), (150, 200, 225), (25, 25, 30), (190, 215, 230))
LIGHTS = ((230, 40, 30), (240, 190, 30), (40, 210, 80))
DARK = (22, 22, 24)


class Pen:
    """Draws in the unit square of one box; `mirror` turns it left to right."""

    def __init__(self, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], mirror: bool):
        self.draw, self.box, self.mirror = draw, box, mirror

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        x = 1 - x if self.mirror else x
        return left + x * (right - left), top + y * (bottom - top)

    def shape(self, colour, *points: tuple[float, float]) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=colour)

    def block(self, colour, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> None:
        (ax, ay), (bx, by) = self.at(x0, y0), self.at(x1, y1)
        corners = (min(ax, bx), ay, max(ax, bx), max(ay, by))
        self.draw.rounded_rectangle(corners, radius * min(corners[2] - corners[0], corners[3] - corners[1]), fill=colour)

    def disc(self, colour, x: float, y: float, radius: float, hub=None) -> None:
        """A circle whose radius is a share of the box's height."""
        centre_x, centre_y = self.at(x, y)
        reach = radius * (self.box[3] - self.box[1])
        self.draw.ellipse((centre_x - reach, centre_y - reach, centre_x + reach, centre_y + reach), fill=colour)
        if hub:
            self.draw.ellipse((centre_x - reach / 2, centre_y - reach / 2, centre_x + reach / 2, centre_y + reach / 2), fill=hub)


def paint(rng: np.random.Generator) -> tuple[int, int, int]:
    """A vehicle's colour: often white, grey or black, else anything."""
    if rng.random() < 0.4:
        return (int(rng.choice((35, 90, 150, 200, 240))),) * 3
    return tuple(int(v) for v in rng.integers(20, 245, 3))


def shade(colour, factor: float):
    return tuple(int(min(255, v * factor)) for v in colour)


def car(pen: Pen, view: int, rng: np.random.Generator) -> None:
    body, glass, round_ = paint(rng), GLASS[rng.integers(len(GLASS))], rng.uniform(0, 0.4)
    if view == 0:
        front, back = rng.uniform(0.15, 0.35), rng.uniform(0.65, 0.98)
        roof = shade(body, rng.choice((1.0, 0.85)))
        pen.shape(roof, (front - 0.08, 0.46), (front + 0.08, 0), (back - 0.06, 0), (back, 0.46))
        pen.shape(glass, (front, 0.44), (front + 0.1, 0.08), (0.5, 0.08), (0.5, 0.44))
        pen.shape(glass, (0.53, 0.44), (0.53, 0.08), (back - 0.08, 0.08), (back - 0.03, 0.44))
        pen.block(body, 0, 0.42, 1, 0.84, round_)
        for x in (0.2, 0.8):
            pen.disc(DARK, x, 0.82, 0.18, (150, 150, 150) if rng.random() < 0.6 else None)
    elif view == 1:
        pen.shape(body, (0.1, 0.45), (0.22, 0), (0.78, 0), (0.9, 0.45))
        pen.shape(glass, (0.17, 0.43), (0.26, 0.07), (0.74, 0.07), (0.83, 0.43))
        for x in (0.06, 0.76):
            pen.block(DARK, x, 0.75, x + 0.18, 1)
        pen.block(body, 0, 0.4, 1, 0.86, round_)
        lamp = (220, 40, 40) if rng.random() < 0.5 else (250, 245, 200)
        for x in (0.04, 0.8):
            pen.block(lamp, x, 0.48, x + 0.16, 0.6)
        pen.block((240, 240, 240), 0.38, 0.62, 0.62, 0.74)
    else:
        pen.block(body, 0, 0, 1, 1, round_)
        pen.block(glass, 0.12, 0.22, 0.88, 0.36)
        pen.block(glass, 0.14, 0.76, 0.86, 0.87)
        if rng.random() < 0.5:
            pen.block(shade(body, 0.85), 0.12, 0.37, 0.88, 0.75)


def motorbike(pen: Pen, view: int, rng: np.random.Generator) -> None:
    frame, shirt, helmet = paint(rng), paint(rng), paint(rng)
    if view == 0:
        hub = (130, 130, 130) if rng.random() < 0.5 else None
        for x in (0.18, 0.82):
            pen.disc(DARK, x, 0.8, 0.2, hub)
        pen.shape(frame, (0.14, 0.74), (0.28, 0.46), (0.4, 0.66), (0.62, 0.56), (0.92, 0.6), (0.8, 0.82), (0.36, 0.82))
        pen.shape(DARK, (0.22, 0.36), (0.3, 0.36), (0.22, 0.76), (0.16, 0.76))
        if rng.random() < 0.85:
            pen.shape(shade(shirt, 0.6), (0.5, 0.52), (0.66, 0.56), (0.46, 0.84), (0.36, 0.82))
            pen.shape(shirt, (0.42, 0.2), (0.58, 0.18), (0.7, 0.58), (0.48, 0.58))
            pen.shape(shirt, (0.44, 0.24), (0.52, 0.3), (0.3, 0.44), (0.26, 0.38))
            pen.disc(helmet, 0.48, 0.1, 0.1)
    elif view == 1:
        going = rng.random() < 0.5
        pen.block(DARK, 0.39, 0.6, 0.61, 1, rng.uniform(0, 0.3))
        if rng.random() < 0.5:
            pen.shape(frame, (0.2, 0.54), (0.8, 0.54), (0.67, 0.82), (0.33, 0.82))
        else:
            pen.block(frame, 0.24, 0.5, 0.76, 0.78, 0.2)
        bar = rng.uniform(0.4, 0.54)
        pen.block(DARK, 0, bar, 1, bar + 0.03)
        if rng.random() < 0.9:
            low = rng.uniform(0.54, 0.62)
            pen.shape(shirt, (0.18, 0.19), (0.82, 0.19), (0.78, low), (0.22, low))
            for side in (1, -1):
                pen.shape(shirt, *((0.5 + side * x, y) for x, y in ((0.3, 0.2), (0.4, 0.24), (0.5, bar), (0.38, bar))))
            pen.disc(helmet, 0.5, 0.1, 0.1)
            if not going:
                pen.block((200, 150, 120), 0.38, 0.1, 0.62, 0.17)
        if going:
            pen.block((200, 30, 25), 0.37, 0.57, 0.63, 0.63)
            pen.block((235, 235, 235), 0.32, 0.65, 0.68, 0.75)
        else:
            pen.disc((250, 245, 225), 0.5, 0.57, 0.06)
    else:
        pen.block(DARK, 0.38, 0, 0.62, 1, 0.4)
        pen.block(frame, 0.26, 0.2, 0.74, 0.85, 0.4)
        pen.block(DARK, 0, 0.24, 1, 0.3)
        pen.block(shirt, 0.1, 0.36, 0.9, 0.66, 0.5)
        pen.disc(helmet, 0.5, 0.48, 0.11)


def bus(pen: Pen, view: int, rng: np.random.Generator) -> None:
    body, glass, round_ = paint(rng), GLASS[rng.integers(len(GLASS))], rng.uniform(0, 0.2)
    if view == 0:
        pen.block(body, 0, 0, 1, 0.9, round_)
        count = int(rng.integers(4, 9))
        if rng.random() < 0.3:
            pen.block(glass, 0.03, 0.14, 0.97, 0.5)
        for index in range(count):
            x = 0.03 + 0.94 * index / count
            pen.block(glass, x, 0.14, x + 0.75 / count, 0.5)
        if rng.random() < 0.6:
            pen.block(paint(rng), 0, 0.58, 1, 0.68)
        for x in (0.2, 0.78):
            pen.disc(DARK, x, 0.87, 0.13, (140, 140, 140) if rng.random() < 0.5 else None)
    elif view == 1:
        for x in (0.06, 0.76):
            pen.block(DARK, x, 0.85, x + 0.18, 1)
        pen.block(body, 0, 0, 1, 0.92, round_)
        pen.block(glass, 0.08, 0.16, 0.92, 0.52)
        pen.block((240, 180, 40) if rng.random() < 0.5 else DARK, 0.2, 0.03, 0.8, 0.12)
        for x in (0.06, 0.8):
            pen.block((250, 240, 190) if rng.random() < 0.5 else (220, 40, 40), x, 0.72, x + 0.14, 0.8)
    else:
        pen.block(body, 0, 0, 1, 1, round_)
        pen.block(glass, 0.08, 0.02, 0.92, 0.08)
        for y in rng.choice((0.2, 0.35, 0.5, 0.65, 0.8), int(rng.integers(1, 4)), replace=False):
            pen.block(shade(body, 0.75), 0.3, y, 0.7, y + 0.08)


def truck(pen: Pen, view: int, rng: np.random.Generator) -> None:
    cab, load, glass = paint(rng), paint(rng), GLASS[rng.integers(len(GLASS))]
    if view == 0:
        split, low = rng.uniform(0.22, 0.34), rng.uniform(0.1, 0.3)
        pen.block(DARK, 0.04, 0.74, 0.98, 0.84)
        pen.shape(cab, (0, 0.84), (0, 0.5), (0.06, low), (split - 0.02, low), (split - 0.02, 0.84))
        pen.shape(glass, (0.03, 0.5), (0.08, low + 0.06), (split - 0.07, low + 0.06), (split - 0.07, 0.5))
        pen.block(load, split + 0.02, 0 if rng.random() < 0.7 else 0.4, 1, 0.78)
        if low > 0.12 and rng.random() < 0.4:
            for x in np.arange(split + 0.08, 0.98, 0.1):
                pen.block(shade(load, 0.8), x, 0.42, x + 0.02, 0.78)
        for x in (0.14, 0.7, 0.86):
            pen.disc(DARK, x, 0.86, 0.14, (140, 140, 140) if rng.random() < 0.5 else None)
    elif view == 1:
        for x in (0.05, 0.75):
            pen.block(DARK, x, 0.8, x + 0.2, 1)
        if rng.random() < 0.5:
            pen.block(load, 0, 0, 1, 0.84)
            pen.block(shade(load, 0.7), 0.49, 0.04, 0.51, 0.8)
            pen.block(DARK, 0, 0.8, 1, 0.88)
        else:
            pen.block(load, 0, 0, 1, 0.5)
            pen.block(cab, 0.04, 0.22, 0.96, 0.9, 0.1)
            pen.block(glass, 0.12, 0.3, 0.88, 0.56)
            pen.block(DARK, 0.2, 0.66, 0.8, 0.78)
    else:
        pen.block(cab, 0.05, 0, 0.95, 0.24, 0.2)
        pen.block(glass, 0.12, 0.03, 0.88, 0.1)
        pen.block(load, 0, 0.27, 1, 1)
        if rng.random() < 0.5:
            pen.block(shade(load, 0.8), 0.08, 0.31, 0.92, 0.96)


def person(pen: Pen, view: int, rng: np.random.Generator) -> None:
    shirt, legs, skin = paint(rng), paint(rng), shade((225, 175, 140), rng.uniform(0.6, 1.1))
    if view == 2:
        pen.block(shirt, 0, 0.3, 1, 0.7, 0.5)
        pen.disc(DARK, 0.5, 0.5, 0.24)
        return
    stride = rng.uniform(0.0, 0.22)
    pen.shape(legs, (0.28, 0.5), (0.52, 0.5), (0.42 - stride, 1), (0.24 - stride, 1))
    pen.shape(legs, (0.48, 0.5), (0.72, 0.5), (0.78 + stride, 1), (0.58 + stride, 1))
    pen.block(shirt, 0.18, 0.18, 0.82, 0.55, 0.2)
    pen.disc(skin, 0.5, 0.09, 0.09)


def traffic_light(pen: Pen, rng: np.random.Generator) -> None:
    lit, lying = int(rng.integers(-1, 3)), (pen.box[2] - pen.box[0]) > (pen.box[3] - pen.box[1])
    pen.block(tuple(int(v) for v in rng.integers(10, 60, 3)), 0, 0, 1, 1, rng.uniform(0, 0.3))
    for index, colour in enumerate(LIGHTS):
        x, y = ((index + 0.5) / 3, 0.5) if lying else (0.5, (index + 0.5) / 3)
        pen.disc(colour if index == lit else shade(colour, 0.25), x, y, 0.38 if lying else 0.13)


DRAWERS = {"car": car, "motorbike": motorbike, "bus": bus, "truck": truck, "person": person}
