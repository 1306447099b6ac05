"""Labelled photos and cut-out plates, and which of them are held out.

A group is everything that may show the same vehicle: photos of the same running number, and texts that differ in one
character at most. A group is held out, or trained on, as a whole; the hash of its first name decides.
"""

import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from platetext import split_label

HELD_OUT = 5  # one group in so many


@dataclass
class Photo:
    """A photo (BGR), its boxes `x0, y0, x1, y1`, and for each the label's text (empty: none) and kind."""

    name: str
    pixels: np.ndarray
    boxes: np.ndarray
    texts: list[str]
    kinds: list[str]
    held_out: bool
    tune: bool  # of the held-out ones, the half on which the threshold is chosen


@dataclass
class Crop:
    """A plate cut out of a photo (BGR), its text line by line."""

    pixels: np.ndarray
    lines: list[str]
    held_out: bool


def base(name: str) -> str:
    """The photo's own name: cut-outs carry a number before it."""
    return re.sub(r"^\d+", "", name)


class Groups:
    """Union of names that share a vehicle."""

    def __init__(self):
        self.parent: dict[str, str] = {}

    def find(self, key: str) -> str:
        self.parent.setdefault(key, key)
        while self.parent[key] != key:
            self.parent[key] = self.parent[self.parent[key]]
            key = self.parent[key]
        return key

    def join(self, a: str, b: str) -> None:
        first, second = sorted((self.find(a), self.find(b)))
        self.parent[second] = first

    def draw(self, key: str) -> int:
        return int(hashlib.sha256(self.find(key).encode()).hexdigest(), 16)

    def held_out(self, key: str) -> bool:
        return self.draw(key) % HELD_OUT == 0

    def tune(self, key: str) -> bool:
        return self.draw(key) % (2 * HELD_OUT) == 0


def grouped(rows: list[dict[str, str]]) -> Groups:
    groups, texts = Groups(), {}
    for row in rows:
        groups.find(base(row["image"]))
        if len(row["plate_text"]) >= 6:
            texts.setdefault(row["plate_text"], base(row["image"]))
            groups.join(base(row["image"]), texts[row["plate_text"]])
    holes: dict[str, str] = {}  # a text with one character left out or replaced by a gap
    for text, name in texts.items():
        for place in range(len(text)):
            for hole in (text[:place] + "?" + text[place + 1 :], text[:place] + text[place + 1 :]):
                groups.join(name, holes.setdefault(hole, name))
    return groups


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load_photos(folder: Path) -> list[Photo]:
    """The labelled photos of the folder `plates`."""
    labels, cuts = read_csv(folder / "labels.csv"), read_csv(folder / "crops.csv")
    groups = grouped(labels + cuts)
    photos: dict[str, Photo] = {}
    for row in labels:
        name = row["image"]
        if name not in photos:
            pixels = cv2.imread(str(folder / "images" / name))
            photos[name] = Photo(name, pixels, np.zeros((0, 4), np.float32), [], [], groups.held_out(base(name)), groups.tune(base(name)))
        photo = photos[name]
        x, y, w, h = (float(row[key]) for key in "xywh")
        photo.boxes = np.concatenate((photo.boxes, np.array([[x, y, x + w, y + h]], np.float32)))
        photo.texts.append(row["plate_text"])
        photo.kinds.append(row["kind"])
    return list(photos.values())


def load_crops(folder: Path) -> list[Crop]:
    """The cut-out plates of the folder `plates` whose text breaks into lines in one way only."""
    labels, cuts = read_csv(folder / "labels.csv"), read_csv(folder / "crops.csv")
    groups = grouped(labels + cuts)
    crops = []
    for row in cuts:
        lines = split_label(row["plate_text"], int(row["lines"]), row["lines"] == "2")
        if lines:
            crops.append(Crop(cv2.imread(str(folder / "crops" / row["image"])), lines, groups.held_out(base(row["image"]))))
    return crops
