"""Training pictures: labelled frames, drawn scenes, and the augmentation that turns either into a network input.

A `Scene` holds RGB pixels, boxes `[n, 4]` as x0, y0, x1, y1 in pixels with their classes `[n]`, and `ignored` boxes `[m, 4]`:
places that hold something nobody labelled, where the detector must not be taught "nothing here".
"""

import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

LABELS = ("car", "motorbike", "bus", "truck", "person", "traffic_light")
COCO_ROWS = [2, 3, 5, 7, 0, 9]  # the rows of the 80 COCO classes that start each of LABELS
PAD = 114  # the grey of the letterbox border, as in the start model
SMALLEST = 5.0  # px: the geometric mean of a box's sides below which it is ignored rather than taught
VISIBLE = 0.4  # share of a box that must stay inside the crop for it to count as a label


@dataclass
class Scene:
    image: Image.Image
    boxes: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def load_frames(folder: Path) -> list[Scene]:
    """The labelled frames of `folder` (`labels.json` in COCO style beside `images/`), in the order of time."""
    data = json.loads((folder / "labels.json").read_text())
    names = {category["id"]: category["name"] for category in data["categories"]}
    rows: dict[int, list[tuple[list[float], int]]] = {image["id"]: [] for image in data["images"]}
    for item in data["annotations"]:
        x, y, width, height = item["bbox"]
        rows[item["image_id"]].append(([x, y, x + width, y + height], LABELS.index(names[item["category_id"]])))
    scenes = []
    for image in sorted(data["images"], key=lambda image: image["frame"]):
        boxes = np.array([box for box, _ in rows[image["id"]]], np.float32).reshape(-1, 4)
        classes = np.array([label for _, label in rows[image["id"]]], np.int64)
        scenes.append(Scene(Image.open(folder / "images" / image["file_name"]).convert("RGB"), boxes, classes))
    return scenes


def letterbox(image: Image.Image, width: int, height: int) -> tuple[np.ndarray, float]:
    """The picture scaled to fit, top left, on grey: `[3, height, width]` f32, BGR 0..255, and the scale that was applied."""
    scale = min(width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new("RGB", (width, height), (PAD,) * 3)
    canvas.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
    return to_input(canvas), scale


def to_input(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image, np.float32)[:, :, ::-1].transpose(2, 0, 1))


def augment(scene: Scene, width: int, height: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One random view of a scene at the network's size: input, boxes, classes, ignored boxes.

    The scale runs from 0.6 (zoom out: the whole picture, smaller than the input) to 2.6 (zoom in: a piece of it) of the letterbox's;
    the vertical scale varies on its own, because the labelled frames were stretched to a square.
    """
    fit = min(width / scene.image.width, height / scene.image.height)
    scale_x = fit * math.exp(rng.uniform(math.log(0.6), math.log(2.6)))
    scale_y = scale_x * math.exp(rng.uniform(math.log(0.6), math.log(1.2)))
    flip = rng.random() < 0.5
    if flip:
        scale_x = -scale_x
    scaled_w, scaled_h = abs(scale_x) * scene.image.width, scale_y * scene.image.height
    left, top = rng.uniform(*sorted((0.0, width - scaled_w))), rng.uniform(*sorted((0.0, height - scaled_h)))
    if flip:
        left += scaled_w
    # PIL shrinks without low-pass filtering when it transforms, so resize first and place the result afterwards.
    resized = scene.image.resize((max(1, round(scaled_w)), max(1, round(scaled_h))), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if flip:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas = Image.new("RGB", (width, height), (PAD,) * 3)
    canvas.paste(recolour(resized, rng), (round(left - scaled_w if flip else left), round(top)))

    boxes, seen = place(scene.boxes, scale_x, scale_y, left, top, width, height)
    ignored, _ = place(scene.ignored, scale_x, scale_y, left, top, width, height)
    side = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    taught = (seen >= VISIBLE) & (side >= SMALLEST)
    partly = (seen > 0.02) & ~taught
    return to_input(canvas), boxes[taught], scene.classes[taught], np.concatenate((ignored, boxes[partly]))


def place(boxes: np.ndarray, scale_x: float, scale_y: float, left: float, top: float, width: int, height: int):
    """Boxes moved into the crop and clipped to it, and the share of each that is still inside."""
    x = np.sort(boxes[:, 0::2] * scale_x + left, 1)
    y = boxes[:, 1::2] * scale_y + top
    moved = np.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), 1).astype(np.float32)
    clipped = moved.clip(0, np.array([width, height, width, height], np.float32))
    return clipped, area(clipped) / np.maximum(area(moved), 1e-6)


def area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)


def recolour(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Other light, other camera: brightness, contrast, colour, a tint, sometimes blur, noise, and JPEG artefacts."""
    night = rng.random() < 0.2
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.2, 0.5) if night else rng.uniform(0.6, 1.4))
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.5, 1.3))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.2, 1.6))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
    if night or rng.random() < 0.3:
        pixels = np.asarray(image, np.float32) * (rng.uniform(0.5, 1.4, 3) if night else rng.uniform(0.8, 1.15, 3))
        pixels += rng.standard_normal(pixels.shape, np.float32) * rng.uniform(1, 9)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(30, 80)))
        image = Image.open(buffer).convert("RGB")
    return image
