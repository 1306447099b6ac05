"""Training pictures, and the augmentation that turns them into a network input.

A `Scene` holds RGB pixels, boxes `[n, 4]` as x0, y0, x1, y1 in pixels with their classes `[n]`, and `ignored` boxes `[m, 4]`:
places that hold something nobody labelled, where the detector is hardly taught "nothing here". `unlabelled` are the classes that nobody
labelled in the whole segment that it is from. `spare` boxes, with their classes, are of things that were seen by eye and have no label: when
measuring, finding one of its class is neither right nor false.
"""

import io
import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from tasks import Task

PAD = 114  # the grey of the letterbox border, as in the start model
SMALLEST = 5.0  # px: the geometric mean of a box's sides below which it is ignored rather than taught
NIGHTS = 0.25  # share of the views that are darkened
NIGHT_LIGHT = 0.2, 0.7  # what is left of the day's
NIGHT_TINT = (0.9, 0.75, 0.5), (1.4, 1.1, 1.1)  # least and greatest gain of red, green, and blue: street lamps are yellow for the most part
VISIBLE = 0.4  # share of a box that must stay inside the crop for it to count as a label
View = tuple[Image.Image, np.ndarray, np.ndarray, np.ndarray]  # a canvas, its boxes, their classes, ignored boxes


@dataclass
class Scene:
    image: Image.Image
    boxes: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    name: str = ""
    unlabelled: frozenset[int] = frozenset()
    spare: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    spare_classes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def letterbox(image: Image.Image, width: int, height: int, step: int | None = None) -> tuple[np.ndarray, float]:
    """The picture scaled to fit, top left, on grey: `[3, height, width]` f32, BGR 0..255, and the scale that was applied. With a
    `step` there is no more grey than to the next multiple of so many pixels."""
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    sides = (width, height) if step is None else tuple(-(-side // step) * step for side in size)
    canvas = Image.new("RGB", sides, (PAD,) * 3)
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
    return to_input(canvas), scale


def to_input(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image, np.float32)[:, :, ::-1].transpose(2, 0, 1))


def look(scenes: list[Scene], chance: np.ndarray, task: Task, size: tuple[int, int], rng: np.random.Generator) -> View:
    """One random training picture of `size` out of `scenes`, drawn with the weights `chance`."""
    width, height = size
    if rng.random() >= task.mosaic:
        return augment(scenes[rng.choice(len(scenes), p=chance)], task, width, height, rng)
    middle_x, middle_y = (round(rng.uniform(0.3, 0.7) * side) for side in size)
    canvas, parts = Image.new("RGB", size), []
    for left, right in ((0, middle_x), (middle_x, width)):
        for top, bottom in ((0, middle_y), (middle_y, height)):
            scene = scenes[rng.choice(len(scenes), p=chance)]
            piece, boxes, classes, ignored = augment(scene, task, right - left, bottom - top, rng, 1.6)
            canvas.paste(piece, (left, top))
            shift = np.array([left, top, left, top], np.float32)
            parts.append((boxes + shift, classes, ignored + shift))
    return canvas, *(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def augment(scene: Scene, task: Task, width: int, height: int, rng: np.random.Generator, nearer: float = 1.0) -> View:
    """One random view of a scene: zoomed (`nearer` on top), squeezed, mirrored, moved, in other light."""
    fit = nearer * min(width / scene.image.width, height / scene.image.height)
    scale_x = fit * math.exp(rng.uniform(*np.log(task.zoom)))
    scale_y = scale_x * math.exp(rng.uniform(*np.log(task.squeeze)))
    target = None
    if len(scene.boxes) and rng.random() < task.crops:
        target = scene.boxes[rng.integers(len(scene.boxes))]
        wanted = rng.uniform(0.1, 0.45) * width  # the label's size in the view
        zoom = wanted / math.sqrt(max(area(target[None])[0], 1)) / scale_x
        scale_x, scale_y = scale_x * zoom, scale_y * zoom
    mirrored = rng.random() < 0.5
    scaled_w, scaled_h = scale_x * scene.image.width, scale_y * scene.image.height
    left, top = rng.uniform(*sorted((0.0, width - scaled_w))), rng.uniform(*sorted((0.0, height - scaled_h)))
    if target is not None:  # in the upper part, where a rider's head is
        x, y = (target[0] + target[2]) / 2 * scale_x, (target[1] + target[3]) / 2 * scale_y
        left, top = rng.uniform(0.2, 0.8) * width - (scaled_w - x if mirrored else x), rng.uniform(0.12, 0.6) * height - y
    # Only what is seen is resized: a view can be a small piece, much enlarged.
    seen_x = np.clip(np.array((-left, width - left)), 0, scaled_w) / scale_x
    if mirrored:
        seen_x = scene.image.width - seen_x[::-1]
    seen_y = np.clip(np.array((-top, height - top)), 0, scaled_h) / scale_y
    size = max(1, round((seen_x[1] - seen_x[0]) * scale_x)), max(1, round((seen_y[1] - seen_y[0]) * scale_y))
    window = (max(0, seen_x[0]), max(0, seen_y[0]), min(scene.image.width, seen_x[1]), min(scene.image.height, seen_y[1]))
    piece = scene.image
    if target is not None and rng.random() < 0.6:  # as small as it was in a street frame, before it is enlarged
        coarse = rng.uniform(9, 28) / wanted
        small = max(4, round(size[0] * coarse)), max(4, round(size[1] * coarse))
        piece = piece.resize(small, Image.Resampling.BILINEAR, box=window, reducing_gap=2.0).resize(size, Image.Resampling.BILINEAR)
    else:
        piece = piece.resize(size, Image.Resampling.BILINEAR, box=window, reducing_gap=2.0)
    if mirrored:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas = Image.new("RGB", (width, height), (PAD,) * 3)
    canvas.paste(recolour(piece, rng), (round(max(left, 0)), round(max(top, 0))))

    if mirrored:
        scale_x, left = -scale_x, left + scaled_w
    boxes, seen = place(scene.boxes, scale_x, scale_y, left, top, width, height)
    ignored, _ = place(scene.ignored, scale_x, scale_y, left, top, width, height)
    side = np.sqrt(area(boxes))
    taught = (seen >= VISIBLE) & (side >= SMALLEST)
    partly = (seen > 0.02) & ~taught
    return canvas, boxes[taught], scene.classes[taught], np.concatenate((ignored, boxes[partly]))


def place(boxes: np.ndarray, scale_x: float, scale_y: float, left: float, top: float, width: int, height: int):
    """Boxes moved into the crop and clipped to it, and the share of each that is still inside."""
    x = np.sort(boxes[:, 0::2] * scale_x + left, 1)
    y = boxes[:, 1::2] * scale_y + top
    moved = np.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), 1).astype(np.float32)
    clipped = moved.clip(0, np.array([width, height, width, height], np.float32))
    return clipped, area(clipped) / np.maximum(area(moved), 1e-6)


def area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)


def covered(boxes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The share of each of `boxes` that each box of `by` covers: `[len(boxes), len(by)]`."""
    low, high = np.maximum(boxes[:, None, :2], by[None, :, :2]), np.minimum(boxes[:, None, 2:], by[None, :, 2:])
    return (high - low).clip(0).prod(2) / np.maximum(area(boxes), 1e-6)[:, None]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of `a` with every box of `b`."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    size_a, size_b = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    return shared / np.maximum(size_a[:, None] + size_b[None] - shared, 1e-9)


def recolour(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Other light, other camera: brightness, contrast, colour, a tint, sometimes blur, noise, and JPEG artefacts; night with its lamps."""
    night = rng.random() < NIGHTS
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(*NIGHT_LIGHT) if night else rng.uniform(0.6, 1.4))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.5, 1.3))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.2, 1.6))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    if night or rng.random() < 0.3:
        pixels = np.asarray(image, np.float32) * (rng.uniform(*NIGHT_TINT) if night else rng.uniform(0.8, 1.15, 3))
        if night:
            pixels += lamps(pixels.shape[1], pixels.shape[0], rng)
        pixels += rng.standard_normal(pixels.shape, np.float32) * rng.uniform(1, 9)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(30, 80)))
        image = Image.open(buffer).convert("RGB")
    return image


def lamps(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """The glare of up to twelve head lamps and tail lamps, white to red: `[height, width, 3]`."""
    glare = np.zeros((height, width, 3), np.float32)
    for _ in range(int(rng.integers(0, 13))):
        x, y, reach = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1.5, 9)
        left, top = max(0, int(x - 3 * reach)), max(0, int(y - 3 * reach))
        right, bottom = min(width, int(x + 3 * reach) + 1), min(height, int(y + 3 * reach) + 1)
        away = np.hypot(np.arange(left, right)[None] - x, np.arange(top, bottom)[:, None] - y) / reach
        colour = np.array((1, 0.15, 0.1) if rng.random() < 0.4 else (1, 0.95, 0.8)) * rng.uniform(80, 300)
        glare[top:bottom, left:right] += np.exp(-(away**2))[:, :, None] * colour
    return glare
