"""Drawn street scenes with exact boxes, so that a simulated camera's pictures are understood too.

Half of them are free compositions (from the side, from the end, from above, in any place), half show a street in perspective
with lanes, from a near-empty one to a queue, by day or by night with lamps. Colours, proportions, and detail are random.
"""

import numpy as np
from PIL import Image, ImageDraw

from scenes import Scene
from shapes import DRAWERS, GLASS, METRES, Pen, paint, traffic_light
from tasks import VEHICLES

LABELS = VEHICLES.labels
SIZE = (640, 360)
TRAFFIC = ("car", "car", "motorbike", "motorbike", "motorbike", "motorbike", "bus", "truck", "person")
SEEN = 0.4  # share of a box not covered by nearer ones from which it is a label; the others are ignored
Box = tuple[float, float, float, float]


class Canvas:
    """The picture being drawn, its labels, which of them owns each pixel, and the lamps that shine at night."""

    def __init__(self, sharp: int):
        self.sharp, self.width, self.height = sharp, SIZE[0] * sharp, SIZE[1] * sharp
        self.image = Image.new("RGB", (self.width, self.height))
        self.draw = ImageDraw.Draw(self.image)
        self.owner = Image.new("I", (self.width, self.height))
        self.owner_draw = ImageDraw.Draw(self.owner)
        self.boxes: list[Box] = []
        self.classes: list[int] = []
        self.lamps: list[tuple[float, float, float]] = []

    def label(self, kind: str, box: Box) -> None:
        self.boxes.append(box)
        self.classes.append(LABELS.index(kind))
        self.owner_draw.rectangle(box, fill=len(self.boxes))

    def road_user(self, kind: str, view: int, box: Box, lying: bool, rng: np.random.Generator) -> None:
        """`lying`: seen from above and driving along x."""
        left, top, right, bottom = box
        wide, tall = right - left, bottom - top
        if view != 2 and rng.random() < 0.6:
            grow, thick = rng.uniform(0, 0.1) * wide, rng.uniform(0.03, 0.12) * min(wide, tall)
            self.draw.ellipse((left - grow, bottom - thick, right + grow, bottom + thick), fill=(int(rng.integers(20, 60)),) * 3)
        if lying:
            patch = self.image.crop(tuple(int(v) for v in box)).rotate(90, expand=True)
            DRAWERS[kind](Pen(ImageDraw.Draw(patch), (0, 0, patch.width - 1, patch.height - 1), False), view, rng)
            self.image.paste(patch.rotate(-90 if rng.random() < 0.5 else 90, expand=True), (int(left), int(top)))
        else:
            DRAWERS[kind](Pen(self.draw, box, rng.random() < 0.5), view, rng)
        if kind != "person" and view == 1:
            for side in (0.5,) if kind == "motorbike" else (0.12, 0.88):
                self.lamps.append((left + side * wide, top + (0.5 if kind == "motorbike" else 0.66) * tall, rng.uniform(0.2, 0.6) * wide))
        self.label(kind, box)

    def signals(self, count: int, rng: np.random.Generator) -> None:
        for _ in range(count):
            tall, x, y = rng.uniform(18, 70) * self.sharp, rng.uniform(0.02, 0.95) * self.width, rng.uniform(0, 0.45) * self.height
            size = (tall * rng.uniform(0.32, 0.5), tall) if rng.random() < 0.7 else (tall, tall * rng.uniform(0.32, 0.5))
            if rng.random() < 0.7:
                post = x + size[0] / 2
                self.draw.rectangle((post - 2 * self.sharp, y, post + 2 * self.sharp, y + rng.uniform(1, 6) * tall), fill=(70, 70, 72))
            box = (x, y, x + size[0], y + size[1])
            traffic_light(Pen(self.draw, box, False), rng)
            self.label("traffic_light", box)

    def weather(self, rng: np.random.Generator) -> None:
        """Rain and the camera's caption, each in some of the pictures."""
        for _ in range(int(rng.integers(0, 400)) if rng.random() < 0.25 else 0):
            x, y, fall = rng.uniform(0, self.width), rng.uniform(0, self.height), rng.uniform(4, 16) * self.sharp
            self.draw.line((x, y, x - fall * rng.uniform(0, 0.3), y + fall), fill=(190, 200, 210), width=1)
        if rng.random() < 0.4:
            self.draw.rectangle((4, 4, rng.uniform(60, 200) * self.sharp, 18 * self.sharp), fill=(0, 0, 0))
            text = f"CAM {rng.integers(100)}  2025-10-27 {rng.integers(24):02}:{rng.integers(60):02}"
            self.draw.text((8, 5), text, fill=(255, 255, 255))

    def finish(self, night: bool, rng: np.random.Generator) -> Scene:
        outlines = np.array(self.boxes, np.float32).reshape(-1, 4)
        visible = np.bincount(np.asarray(self.owner).ravel(), minlength=len(outlines) + 1)[1:]
        whole = (outlines[:, 2] - outlines[:, 0]) * (outlines[:, 3] - outlines[:, 1])
        taught, present = visible > SEEN * whole, visible > 0
        inside = outlines.clip(0, np.array([self.width, self.height] * 2, np.float32)) / self.sharp
        pixels = np.asarray(self.image.reduce(self.sharp) if self.sharp > 1 else self.image, np.float32)
        if night:
            pixels = pixels * rng.uniform(0.15, 0.5) * rng.uniform(0.8, 1.2, 3).astype(np.float32) + rng.uniform(0, 10)
            for x, y, radius in self.lamps:
                glow(pixels, x / self.sharp, y / self.sharp, radius / self.sharp, rng)
        pixels = pixels + rng.standard_normal(pixels.shape, np.float32) * rng.uniform(0, 8)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        return Scene(image, inside[taught], np.array(self.classes, np.int64)[taught], inside[present & ~taught])


def glow(pixels: np.ndarray, x: float, y: float, radius: float, rng: np.random.Generator) -> None:
    """Adds a lamp's light, white or red, that fades to nothing at `radius` pixels."""
    left, right = (int(np.clip(v, 0, pixels.shape[1])) for v in (x - radius, x + radius + 1))
    top, bottom = (int(np.clip(v, 0, pixels.shape[0])) for v in (y - radius, y + radius + 1))
    if left < right and top < bottom:
        away = np.hypot(np.arange(left, right)[None] - x, np.arange(top, bottom)[:, None] - y) / radius
        colour = np.array((255, 244, 205) if rng.random() < 0.5 else (200, 25, 20), np.float32)
        pixels[top:bottom, left:right] += (1 - away.clip(0, 1))[:, :, None] ** 2 * colour


def draw_scene(rng: np.random.Generator) -> Scene:
    """One scene of `SIZE` with its labels; what nearer things hide for the most part is ignored."""
    canvas = Canvas(int(rng.integers(1, 3)))
    if rng.random() < 0.5:
        street(canvas, rng)
    else:
        free(canvas, rng)
    canvas.weather(rng)
    return canvas.finish(rng.random() < 0.3, rng)


def street(canvas: Canvas, rng: np.random.Generator) -> None:
    """A road that runs away from the camera between houses and trees, its vehicles in lanes, seen from behind or in front."""
    width, height, draw = canvas.width, canvas.height, canvas.draw
    horizon, shrink, half_road, middle = rng.uniform(0.15, 0.4), rng.uniform(3, 7), rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.6)
    metres = rng.uniform(4, 8)  # half the road's width

    def place(depth: float, lane: float) -> tuple[float, float, float]:
        scale = 1 / (1 + shrink * depth)
        return (middle + lane * half_road * scale) * width, (horizon + (1.02 - horizon) * scale) * height, scale

    def strip(depths: tuple[float, float], lanes: tuple[float, float], colour) -> None:
        corners = [place(depths[0], lanes[0]), place(depths[0], lanes[1]), place(depths[1], lanes[1]), place(depths[1], lanes[0])]
        draw.polygon([corner[:2] for corner in corners], fill=colour)

    ground(draw, (width, height), horizon, rng)
    for row in range(int(rng.integers(4, 9)), -1, -1):
        for side in (-1, 1):
            x, y, scale = place(row / 8 + 0.03, side * rng.uniform(1.3, 1.7))
            far = x + side * rng.uniform(0.3, 0.6) * scale * width
            house(draw, min(x, far), y, abs(far - x), rng.uniform(0.4, 1.1) * scale * height, rng)
            if rng.random() < 0.6:
                x, y, scale = place(row / 8 + 0.03, side * 1.25)
                tree(draw, x, y, rng.uniform(0.05, 0.1) * scale * width, rng)
    asphalt = tuple(int(v) for v in (rng.uniform(50, 150) + rng.uniform(-8, 8, 3)))
    strip((-0.03, 1), (-1.2, 1.2), tuple(int(v) for v in rng.integers(90, 200, 3)))
    strip((-0.03, 1), (-1, 1), asphalt)
    mark = (220, 220, 215) if rng.random() < 0.7 else (214, 176, 60)
    lanes = int(rng.integers(1, 4)) * 2
    for line in range(1, lanes):
        for dash in np.arange(0, 1, 0.08):
            strip((dash, dash + (0.08 if line * 2 == lanes else 0.03)), (2 * line / lanes - 1.01, 2 * line / lanes - 0.99), mark)
    if rng.random() < 0.3:
        for bar in np.arange(-0.95, 0.95, 0.12):
            strip((0.1, 0.16), (bar, bar + 0.06), mark)

    for depth in rng.uniform(0.05, 0.9, int(rng.integers(0, 4))):
        x, y, scale = place(depth, 1.1)
        head, arm = y - rng.uniform(0.6, 0.9) * scale * height, 0.1 * scale * width
        draw.line((x, y, x, head, x - arm, head), fill=(96, 100, 104), width=max(1, int(0.012 * scale * width)))
        canvas.lamps.append((x - arm, head, rng.uniform(0.1, 0.35) * scale * width))

    queue = rng.random() < 0.35
    count = int(rng.integers(20, 45)) if queue else int(rng.integers(0, 14))
    tracks = np.linspace(-0.85, 0.85, 6)
    depths = [(index // len(tracks) + rng.uniform(0, 0.6)) / 7.5 if queue else rng.random() for index in range(count)]
    spots = [(depth, tracks[index % len(tracks)] + rng.uniform(-0.08, 0.08)) for index, depth in enumerate(depths)]
    for depth, lane in sorted(spots, reverse=True):
        kind = TRAFFIC[rng.integers(len(TRAFFIC))]
        x, y, scale = place(0.9 * depth + 0.01, lane if kind != "person" else lane * 1.3)
        unit = half_road * scale * width / metres
        wide, tall = (side * unit * rng.uniform(0.88, 1.15) for side in METRES[kind][1])
        canvas.road_user(kind, 1, (x - wide / 2, y - tall, x + wide / 2, y), False, rng)
    canvas.signals(int(rng.integers(0, 3)) if rng.random() < 0.5 else 0, rng)


def free(canvas: Canvas, rng: np.random.Generator) -> None:
    """Anything anywhere: sizes and places follow a loose perspective, or none, or the scene is seen from above."""
    from_above, flat = rng.random() < 0.4, rng.random() < 0.3
    horizon = 0.0 if from_above else rng.uniform(0.1, 0.5)
    background(canvas.draw, (canvas.width, canvas.height), horizon, rng)
    near = rng.uniform(18, 75) * canvas.sharp * rng.uniform(0.4, 1)  # pixels a metre at the bottom edge
    for foot in sorted(rng.uniform(0, 1, int(rng.integers(0, 22)))):
        kind = TRAFFIC[rng.integers(len(TRAFFIC))]
        view = 2 if from_above else int(rng.integers(2))
        lying = from_above and kind != "person" and rng.random() < 0.5
        scale = near * (1 if from_above or flat else 0.25 + 0.75 * foot) * rng.uniform(0.9, 1.1)
        wide, tall = (side * scale * rng.uniform(0.85, 1.15) for side in METRES[kind][view][:: -1 if lying else 1])
        x, bottom = rng.uniform(-0.05, 1.02) * canvas.width, canvas.height * (horizon + (1.05 - horizon) * (0.05 + 0.95 * foot))
        canvas.road_user(kind, view, (x - wide / 2, bottom - tall, x + wide / 2, bottom), lying, rng)
    canvas.signals(0 if from_above else int(rng.integers(0, 4)), rng)


def ground(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: float, rng: np.random.Generator) -> None:
    """Sky down to the horizon, one colour below it."""
    width, height = size
    sky, colour = rng.integers(20, 240, 3), rng.integers(30, 170) + rng.integers(-12, 13, 3)
    edge = int(horizon * height)
    for y in range(0, edge, 4):
        draw.rectangle((0, y, width, y + 4), fill=tuple(int(v) for v in (sky * (0.6 + 0.4 * y / edge))))
    draw.rectangle((0, edge, width, height), fill=tuple(int(v) for v in colour.clip(0, 255)))


def house(draw: ImageDraw.ImageDraw, x: float, foot: float, wide: float, tall: float, rng: np.random.Generator) -> None:
    draw.rectangle((x, foot - tall, x + wide, foot), fill=paint(rng))
    step = max(8, int(wide / rng.integers(2, 7)))
    pane = GLASS[rng.integers(len(GLASS))] if rng.random() < 0.7 else (250, 220, 140)
    for window_y in range(int(foot - tall) + 6, int(foot) - 10, step):
        for window_x in range(int(x) + 5, int(x + wide) - step // 2, step):
            draw.rectangle((window_x, window_y, window_x + step // 2, window_y + step // 2), fill=pane)


def tree(draw: ImageDraw.ImageDraw, x: float, foot: float, reach: float, rng: np.random.Generator) -> None:
    draw.rectangle((x - reach / 8, foot - reach, x + reach / 8, foot), fill=(90, 65, 45))
    leaf = (int(rng.integers(20, 90)), int(rng.integers(80, 160)), int(rng.integers(20, 80)))
    draw.ellipse((x - reach, foot - 2.6 * reach, x + reach, foot - 0.7 * reach), fill=leaf)


def background(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: float, rng: np.random.Generator) -> None:
    """Sky, houses, trees, road and markings; from above (`horizon` 0) only road and markings."""
    width, height = size
    ground(draw, size, horizon, rng)
    edge = int(horizon * height)
    for _ in range(int(rng.integers(0, 9)) if edge else 0):
        house(draw, rng.uniform(-0.1, 1) * width, edge, rng.uniform(0.05, 0.25) * width, rng.uniform(0.2, 1) * edge, rng)
    for _ in range(int(rng.integers(0, 6)) if edge else 0):
        tree(draw, rng.uniform(0, 1) * width, edge, rng.uniform(0.02, 0.08) * width, rng)
    mark = (int(rng.integers(170, 250)),) * 3 if rng.random() < 0.8 else (230, 190, 60)
    kerb = tuple(int(v) for v in rng.integers(60, 190, 3))
    if rng.random() < 0.6:  # the road runs away from the camera
        middle, wide_far = rng.uniform(0.3, 0.7) * width, width * (rng.uniform(0.05, 0.4) if horizon else 0.7)
        for side in (-1, 1):
            inner = [(middle + side * wide_far / 2, edge), (middle + side * width * 0.7, height)]
            draw.polygon([*inner, (middle + side * 3 * width, height), (middle + side * 3 * width, edge)], fill=kerb)
        for lane in np.linspace(-0.5, 0.5, int(rng.integers(2, 6)))[:-1]:
            for start in np.arange(0.02, 1, 0.12):
                ends = [edge + (height - edge) * share for share in (start, start + 0.06)]
                x = [middle + lane * (wide_far + (1.4 * width - wide_far) * share) for share in (start, start + 0.06)]
                draw.line((x[0], ends[0], x[1], ends[1]), fill=mark, width=max(1, int(1 + 4 * start)))
    else:  # the road crosses the picture
        draw.rectangle((0, edge, width, edge + rng.uniform(0, 0.2) * (height - edge)), fill=kerb)
        for share in rng.uniform(0.25, 0.9, int(rng.integers(1, 4))):
            y, dash = edge + share * (height - edge), int(rng.integers(10, 60))
            for x in range(0, width, 2 * dash):
                draw.rectangle((x, y, x + dash, y + max(2, height // 150)), fill=mark)
    if rng.random() < 0.3:  # a zebra crossing
        x, y, bar = rng.uniform(0, 0.7) * width, edge + rng.uniform(0.2, 0.8) * (height - edge), width / 60
        for index in range(int(rng.integers(4, 12))):
            draw.rectangle((x + 2 * index * bar, y, x + (2 * index + 1) * bar, y + 4 * bar), fill=mark)
