"""Training pictures for the plate finder: photos and streets at every scale, drawn plates in perspective, bad light, bad cameras.

A plate's corners run clockwise from its own top left. Those of drawn plates are exact; photos carry upright boxes alone,
whose corners are taken for the plate's and count half: barrier cameras see plates nearly upright.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from drawn import draw_scene
from plateart import Plate, draw_plate, kinds
from platephotos import Photo
from platereading import Finder

WIDTH, HEIGHT = 512, 288
SMALLEST = 4.5  # pixels: plates less tall than this are neither taught nor taught to be background
WIDE = 30  # pixels: vehicles less wide than this show no plate
SURE, UNSURE = 0.45, 0.2  # scores of an earlier finder: from the first a plate of the streets is taken for a label, from the second smeared
UPRIGHT = 0.5  # how much the corners of an upright box are trusted
NOISE = np.random.default_rng(0).standard_normal((400, 640, 3), np.float32)


@dataclass
class View:
    """A picture (BGR, u8), corners `[n, 4, 2]`, and how much each plate's corners are to be trusted, 0 to 1."""

    pixels: np.ndarray
    quads: np.ndarray
    known: np.ndarray


@dataclass
class Source:
    """A picture to compose from, `spots`: vehicles on which a plate may be drawn, `halves`: the picture, its half, its quarter, and so on."""

    pixels: np.ndarray
    quads: np.ndarray
    spots: np.ndarray

    def __post_init__(self):
        self.halves = [self.pixels]
        while max(self.halves[-1].shape) > 100:
            self.halves.append(cv2.resize(self.halves[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def corners_of(boxes: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = boxes.reshape(-1, 4).T
    return np.stack((x0, y0, x1, y0, x1, y1, x0, y1), 1).reshape(-1, 4, 2).astype(np.float32)


def bounds(quads: np.ndarray) -> np.ndarray:
    return np.concatenate((quads.min(1), quads.max(1)), 1)


def load_backgrounds(scenes: Path, drawings: int) -> list[Source]:
    """Streets without readable plates: traffic frames with their vehicles, litter photos, drawn streets."""
    sources, nothing = [], np.zeros((0, 4, 2), np.float32)
    for part in ("traffic", "waste"):
        table = json.loads((scenes / part / "labels.json").read_text(encoding="utf-8"))
        names = {row["id"]: row["name"] for row in table["categories"]}
        for image in table["images"]:
            pixels = cv2.imread(str(scenes / part / "images" / image["file_name"]))
            if pixels is None:
                continue
            marks = [row for row in table["annotations"] if row["image_id"] == image["id"]]
            boxes = [row["bbox"] for row in marks if names[row["category_id"]] in ("car", "bus", "truck", "motorbike")]
            spots = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)
            factor = min(1.0, 640 / max(pixels.shape[:2]))
            if factor < 1:
                pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            sources.append(Source(pixels, nothing, spots * factor))
    for index in range(drawings):
        scene = draw_scene(np.random.default_rng(70_000 + index))
        vehicles = scene.boxes[scene.classes < 4]
        sources.append(Source(np.ascontiguousarray(np.asarray(scene.image)[:, :, ::-1]), nothing, vehicles))
    return sources


def mark_plates(source: Source, finder: Finder) -> Source:
    """A street with the real plates that an earlier finder sees in the cut-outs of its vehicles: the sure ones labelled, the others smeared."""
    pixels, labels = source.pixels.copy(), [np.zeros((0, 4), np.float32)]
    soft, (high, wide) = cv2.GaussianBlur(pixels, (0, 0), 6), pixels.shape[:2]
    for x0, y0, x1, y1 in source.spots[source.spots[:, 2] - source.spots[:, 0] >= WIDE]:
        grow = 0.05 * np.array((x1 - x0, y1 - y0))
        left, top = (int(max(0, low - more)) for low, more in zip((x0, y0), grow))
        right, bottom = (int(min(most, end + more)) for most, end, more in zip((wide, high), (x1, y1), grow))
        for plate in finder.find(source.pixels[top:bottom, left:right], UNSURE, 0.45):
            box = (plate.box + (left, top, left, top)).clip(0, (wide, high, wide, high)).astype(np.float32)
            if overlaps(box, np.concatenate(labels)):
                continue
            if plate.score >= SURE:
                labels.append(box[None])
                continue
            a, b, c, d = np.concatenate((np.floor(box[:2]), np.ceil(box[2:]))).astype(int)
            pixels[b:d, a:c] = soft[b:d, a:c]
    return Source(pixels, corners_of(np.concatenate(labels)), source.spots)


def photo_sources(photos: list[Photo]) -> list[Source]:
    return [Source(photo.pixels, corners_of(photo.boxes), np.zeros((0, 4), np.float32)) for photo in photos]


def move(quads: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(quads.reshape(-1, 1, 2), matrix).reshape(-1, 4, 2) if len(quads) else quads


def turned(wide: float, tall: float, rng: np.random.Generator) -> np.ndarray:
    """Corners of a plate of that size around the origin, turned in space by up to 45 degrees and seen through a lens."""
    wild = rng.random() < 0.4
    yaw, pitch, roll = np.radians(rng.uniform(-1, 1, 3) * ((48, 38, 32) if wild else (28, 20, 9)))
    points = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], np.float64) * (wide / 2, tall / 2, 0)
    cos, sin = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_y = np.array(((cos[0], 0, sin[0]), (0, 1, 0), (-sin[0], 0, cos[0])))
    about_x = np.array(((1, 0, 0), (0, cos[1], -sin[1]), (0, sin[1], cos[1])))
    about_z = np.array(((cos[2], -sin[2], 0), (sin[2], cos[2], 0), (0, 0, 1)))
    points = points @ (about_z @ about_x @ about_y).T
    depth = wide * rng.uniform(2.5, 9)
    return (points[:, :2] * (depth / (depth + points[:, 2:]))).astype(np.float32)


def paste(canvas: np.ndarray, patch: np.ndarray, quad: np.ndarray) -> None:
    """Draws `patch` into the corners `quad`, shrinking it first so that it does not alias."""
    span = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    size = (max(2, int(span[0] * 1.3)), max(2, int(span[1] * 1.3)))
    if size[0] < patch.shape[1]:
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    high, wide = patch.shape[:2]
    left, top = np.floor(quad.min(0)).astype(int) - 1
    right, bottom = np.ceil(quad.max(0)).astype(int) + 2
    left, top, right, bottom = max(0, left), max(0, top), min(canvas.shape[1], right), min(canvas.shape[0], bottom)
    if right <= left or bottom <= top:
        return
    start = np.array(((0, 0), (wide, 0), (wide, high), (0, high)), np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(start, quad - np.array((left, top), np.float32) - 0.5)
    size = (int(right - left), int(bottom - top))
    drawn = cv2.warpPerspective(patch, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(mask, np.round((quad - (left, top) - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    share = mask[:, :, None].astype(np.float32) / 255
    place = canvas[top:bottom, left:right]
    place[:] = (place * (1 - share) + drawn * share).astype(np.uint8)


def lit(pixels: np.ndarray, around: float, rng: np.random.Generator) -> np.ndarray:
    """A plate in the light of its surroundings (`around`: their mean), or shining on its own."""
    gain = np.clip(around / 110, 0.25, 1.2) ** rng.uniform(0.2, 1) * rng.uniform(0.75, 1.2) * rng.uniform(0.93, 1.07, 3)
    return (pixels * gain + rng.uniform(-12, 12)).clip(0, 255).astype(np.uint8)


def overlaps(box: np.ndarray, others: np.ndarray) -> bool:
    if not len(others):
        return False
    return bool(((np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])).min(1) > 0).any())


class Composer:
    """Draws training views from photos, backgrounds and drawn plates."""

    def __init__(self, photos: list[Source], backgrounds: list[Source], plates: list[Plate], photo_share: float = 0.6):
        self.photos, self.backgrounds, self.plates, self.photo_share = photos, backgrounds, plates, photo_share

    def view(self, rng: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> View:
        """A picture of that size; a smaller one holds fewer things, not smaller ones."""
        whole = width * height >= WIDTH * HEIGHT // 2
        layouts = (
            ((1, 1), (1, 1), (1, 1), (2, 1), (2, 2), (2, 2), (3, 2), (4, 3)) if whole else ((1, 1), (1, 1), (1, 1), (1, 1), (2, 1), (2, 2))
        )
        columns, rows = layouts[rng.integers(len(layouts))]
        canvas = np.zeros((height, width, 3), np.uint8)
        found, known = [np.zeros((0, 4, 2), np.float32)], []
        cut_x = np.linspace(0, width, columns + 1) + np.r_[0, rng.uniform(-0.15, 0.15, columns - 1) * width / columns, 0]
        cut_y = np.linspace(0, height, rows + 1) + np.r_[0, rng.uniform(-0.15, 0.15, rows - 1) * height / rows, 0]
        for row in range(rows):
            for column in range(columns):
                left, top, right, bottom = (int(v) for v in (cut_x[column], cut_y[row], cut_x[column + 1], cut_y[row + 1]))
                quads, sure = self.tile(canvas[top:bottom, left:right], columns * rows, rng)
                found.append(quads + np.array((left, top), np.float32))
                known += sure
        quads = np.concatenate(found)
        canvas = worse(canvas, rng)
        if rng.random() < 0.06:
            canvas = canvas[:, :, ::-1].copy()
        return View(canvas, quads, np.array(known, np.float32))

    def tile(self, place: np.ndarray, tiles: int, rng: np.random.Generator) -> tuple[np.ndarray, list[float]]:
        """Fills `place` with one source under a random camera, draws plates into it."""
        high, wide = place.shape[:2]
        real = rng.random() < self.photo_share
        source = self.photos[rng.integers(len(self.photos))] if real else self.backgrounds[rng.integers(len(self.backgrounds))]
        rows, columns = source.pixels.shape[:2]
        fit = min(wide / columns, high / rows)
        scale = fit * np.exp(rng.uniform(np.log(0.45 if tiles == 1 else 0.8), np.log(1.9 if tiles > 1 else 1.5)))
        stretch, angle = np.exp(rng.uniform(-0.2, 0.2)), np.radians(rng.uniform(-7, 7)) if rng.random() < 0.5 else 0.0
        mirror = -1 if rng.random() < 0.3 and not len(source.quads) else 1
        linear = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle)))) @ np.diag(
            (scale * stretch * mirror, scale / stretch)
        )
        focus = np.array((columns, rows)) * rng.uniform(0.35, 0.65, 2)
        if len(source.quads) and rng.random() < 0.7:
            focus = source.quads[rng.integers(len(source.quads))].mean(0)
        shift = np.array((wide, high)) * rng.uniform(0.2, 0.8, 2) - linear @ focus
        matrix = np.vstack((np.column_stack((linear, shift)), (rng.uniform(-2e-4, 2e-4) / tiles**0.5, rng.uniform(-2e-4, 2e-4), 1)))
        finest = int(np.clip(np.log2(0.7 / scale), 0, len(source.halves) - 1))
        pixels = source.halves[finest]
        true = (pixels.shape[1] / columns, pixels.shape[0] / rows)
        border = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT)[
            rng.integers(3) if not len(source.quads) else rng.integers(2)
        ]
        flat = cv2.warpPerspective(
            pixels,
            matrix @ np.diag((1 / true[0], 1 / true[1], 1)),
            (wide, high),
            flags=cv2.INTER_LINEAR,
            borderMode=border,
            borderValue=(114,) * 3,
        )
        place[:] = flat
        quads = move(source.quads, matrix)
        known = [UPRIGHT] * len(quads)
        taken = bounds(quads) if len(quads) else np.zeros((0, 4), np.float32)
        spots = bounds(move(corners_of(source.spots), matrix)) if len(source.spots) else source.spots
        spots = spots[(spots[:, 2] > 5) & (spots[:, 0] < wide - 5) & (spots[:, 3] > 5) & (spots[:, 1] < high - 5)] if len(spots) else spots
        count = int(rng.integers(0, 2)) if real else int(rng.integers(0, 5 if tiles == 1 else 3))
        for _ in range(count):
            quad = self.plate(place, taken, spots, rng)
            if quad is not None:
                quads, known = np.concatenate((quads, quad[None])), known + [1.0]
                taken = np.concatenate((taken, bounds(quad[None])))
        for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.4 else 0):
            self.sign(place, taken, rng)
        box = bounds(quads) if len(quads) else np.zeros((0, 4), np.float32)
        inside = box.clip(0, np.array((wide, high) * 2, np.float32))
        whole = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        seen = (inside[:, 2] - inside[:, 0]).clip(0) * (inside[:, 3] - inside[:, 1]).clip(0) / np.maximum(whole, 1e-6)
        for x0, y0, x1, y1 in inside[(seen > 0) & (seen < 0.75)].astype(int):
            place[y0 : y1 + 1, x0 : x1 + 1] = 114  # a plate cut off by the edge is nothing one could read: blanked
        keep = seen >= 0.75
        return quads[keep], [mark for mark, kept in zip(known, keep) if kept]

    def plate(self, place: np.ndarray, taken: np.ndarray, spots: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """Draws one plate at a free place, on a vehicle if there are any, and tells its corners."""
        high, wide = place.shape[:2]
        art = self.plates[rng.integers(len(self.plates))]
        ratio = art.pixels.shape[1] / art.pixels.shape[0] * np.exp(rng.uniform(-0.15, 0.15))
        lines = len(art.lines)
        tall = np.exp(rng.uniform(np.log(5.5 * lines), np.log(min(45 * lines, 0.5 * high))))
        centre = rng.uniform(0.03, 0.97, 2) * (wide, high)
        if len(spots) and rng.random() < 0.8:
            x0, y0, x1, y1 = spots[rng.integers(len(spots))]
            tall = max(5.0 * lines, min(0.5 * high, (x1 - x0) * rng.uniform(0.16, 0.5) / ratio))
            centre = np.array((x0 + (x1 - x0) * rng.uniform(0.25, 0.75), y0 + (y1 - y0) * rng.uniform(0.45, 0.95)))
        quad = turned(tall * ratio, tall, rng) + centre.astype(np.float32)
        box = bounds(quad[None])[0]
        if box[0] < 0 or box[1] < 0 or box[2] > wide or box[3] > high or overlaps(box, taken):
            return None
        x0, y0, x1, y1 = box.astype(int)
        around = float(place[max(0, y0 - 4) : y1 + 5, max(0, x0 - 4) : x1 + 5].mean())
        if rng.random() < 0.55:  # what it is screwed to
            middle = quad.mean(0)
            holder = (
                (quad - middle) * rng.uniform((1.05, 1.05), (2.6, 2.2)).astype(np.float32)
                + middle
                + rng.uniform(-0.2, 0.2, 2).astype(np.float32) * tall
            )
            if not overlaps(bounds(holder[None])[0], taken):
                body = (
                    rng.uniform(0, 1, (4, 4, 3)) ** rng.uniform(0.5, 3) * rng.uniform(0, 60) + rng.uniform(5, 210) + rng.uniform(-20, 20, 3)
                )
                paste(
                    place,
                    cv2.resize(body.clip(0, 255).astype(np.uint8), (64, 32), interpolation=cv2.INTER_CUBIC),
                    holder.astype(np.float32),
                )
        paste(place, lit(art.pixels, around, rng), quad)
        return quad

    def sign(self, place: np.ndarray, taken: np.ndarray, rng: np.random.Generator) -> None:
        """Something that is no plate: a board with words or nothing on it."""
        high, wide = place.shape[:2]
        tall = rng.uniform(6, 0.25 * high)
        quad = turned(tall * rng.uniform(0.5, 6), tall, rng) + (rng.uniform(0, 1, 2) * (wide, high)).astype(np.float32)
        if overlaps(bounds(quad[None])[0], taken):
            return
        board = np.full((60, 200, 3), rng.uniform(0, 255, 3), np.uint8)
        ink = rng.uniform(0, 255, 3).tolist()
        for row in range(int(rng.integers(0, 4))):
            word = "".join(chr(97 + int(rng.integers(26))) for _ in range(int(rng.integers(2, 16))))
            cv2.putText(
                board, word, (int(rng.integers(0, 30)), 14 + 15 * row), int(rng.integers(0, 4)), rng.uniform(0.4, 0.7), ink, 1, cv2.LINE_AA
            )
        paste(place, board, quad)


def smear(pixels: np.ndarray, rng: np.random.Generator, most: float) -> np.ndarray:
    """Blur by movement along a random line of up to `most` pixels, or out of focus."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, most / 3))
    size = int(2 * (rng.uniform(1, most) // 2) + 3)
    line, middle, angle = np.zeros((size, size), np.float32), size // 2, rng.uniform(0, np.pi)
    reach = np.array((np.cos(angle), np.sin(angle))) * middle
    ends = [tuple(int(round(v)) for v in (middle + reach * side)) for side in (-1, 1)]
    cv2.line(line, ends[0], ends[1], 1.0, 1)
    return cv2.filter2D(pixels, -1, line / line.sum())


def worse(pixels: np.ndarray, rng: np.random.Generator, blur: float = 4.0, scale: float = 1.0) -> np.ndarray:
    """Light and camera: exposure, contrast, night, lamps, colour cast, grey, blur, noise, JPEG. u8 in, u8 out."""
    high, wide = pixels.shape[:2]
    if rng.random() < 0.15:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    level = np.arange(256, dtype=np.float32)[:, None].repeat(3, 1)
    if rng.random() < 0.35:
        level *= rng.uniform(0.75, 1.25, 3)
    if rng.random() < 0.15:
        level *= (rng.uniform(0.35, 0.7), rng.uniform(0.75, 0.95), 1)  # sodium lamps
    level = 255 * (level.clip(0, 255) / 255) ** rng.uniform(0.6, 1.7)
    gain = rng.uniform(0.22, 0.6) if rng.random() < 0.2 else rng.uniform(0.65, 1.4)
    level = ((level - 110) * rng.uniform(0.6, 1.25) + 110) * gain + rng.uniform(-15, 20)
    pixels = cv2.LUT(pixels, level.clip(0, 255).astype(np.uint8)[:, None])
    if rng.random() < 0.2:  # a lamp, or a shadow
        x, y, reach = rng.uniform(0, wide), rng.uniform(0, high), rng.uniform(0.1, 0.6) * wide
        away = np.hypot(np.arange(wide, dtype=np.float32)[None] - x, np.arange(high, dtype=np.float32)[:, None] - y) / reach
        light = rng.uniform(-120, 170) * (1 - away).clip(0, 1) ** 2
        pixels = cv2.add(pixels, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    if rng.random() < 0.45:
        pixels = smear(pixels, rng, blur)
    x, y = rng.integers(NOISE.shape[1] - wide), rng.integers(NOISE.shape[0] - high)
    noise = NOISE[y : y + high, x : x + wide] * np.float32((rng.uniform(0, 14) if rng.random() < 0.5 else 2) * scale)
    pixels = cv2.add(pixels, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.5:
        packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])[1]
        pixels = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return pixels


def draw_plates(count: int, seed: int) -> list[Plate]:
    rng = np.random.default_rng(seed)
    return [draw_plate(kinds(rng), rng) for _ in range(count)]
