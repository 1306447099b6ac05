"""The labelled pictures and their splits.

Pictures of one place, or near copies of each other, are in one part. The traffic frames are split by time, the photos by a hash of
their names. Three parts: `train`; `tune`, on which thresholds are chosen; `test`, which is only measured.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from scenes import Scene, covered, iou
from tasks import HELMET, VEHICLES, Task

FOLDERS = {"vehicles": "scenes/traffic", "waste": "scenes/waste", "helmet": "scenes/helmet"}
HELD_OUT, GAP = 30, 5  # the last frames in time are the test; the ones before them are of the same piece of video: used for nothing
TUNE_SEGMENT = "4075-4094"
TEST, TUNE = 25, 10  # of 100 groups of photos, so many are for the test, and so many for tuning
LONG = 15  # a segment of as many frames without one label of a class that other segments have: nobody labelled that class there
LARGE = 10  # a group of more photos is trained on: it would make a part of its own, of one place
ALIKE_BITS, ALIKE_SHADES, ALIKE_COLOURS = 14, 0.9, 0.93  # from where two photos are of one group; see `groups`

HEADS = Path(__file__).with_name("helmet_heads.txt")  # photo, left, top, right, bottom, label: heads without a label, or with a wrong one
UNCLEAR = "unclear"  # in place of a label there: a head, or none, that cannot be told
SAME = 0.5  # IoU from which a box there is that of a label


def load(task: Task, data: Path) -> dict[str, list[Scene]]:
    """The scenes of each part, in the order of time or of names."""
    folder = data / FOLDERS[task.name]
    labels = json.loads((folder / "labels.json").read_text())
    names = {category["id"]: task.labels.index(category["name"]) for category in labels["categories"]}
    rows: dict[int, list[tuple[list[float], int]]] = {image["id"]: [] for image in labels["images"]}
    for item in labels["annotations"]:
        x, y, width, height = item["bbox"]
        rows[item["image_id"]].append(([x, y, x + width, y + height], names[item["category_id"]]))
    by_time = task is VEHICLES
    records = sorted(labels["images"], key=lambda image: image["frame"] if by_time else image["file_name"])
    scenes = []
    for image in records:
        boxes = np.array([box for box, _ in rows[image["id"]]], np.float32).reshape(-1, 4)
        classes = np.array([label for _, label in rows[image["id"]]], np.int64)
        picture = Image.open(folder / "images" / image["file_name"]).convert("RGB")
        scenes.append(Scene(picture, boxes, classes, name=image["file_name"]))
    if by_time:
        mark_unlabelled(scenes, [record["segment"] for record in records])
        tune = [record["segment"] == TUNE_SEGMENT for record in records]
        early = range(len(scenes) - HELD_OUT - GAP)
        return {
            "train": [scenes[index] for index in early if not tune[index]],
            "tune": [scenes[index] for index in early if tune[index]],
            "test": scenes[-HELD_OUT:],
        }
    parts: dict[str, list[Scene]] = {"train": [], "tune": [], "test": []}
    grouped = groups(scenes)
    for scene, group in zip(scenes, grouped, strict=True):
        draw = int(hashlib.sha256(group.encode()).hexdigest(), 16) % 100 if grouped.count(group) <= LARGE else 100
        parts["test" if draw < TEST else "tune" if draw < TEST + TUNE else "train"].append(scene)
    if task is HELMET:
        heads = seen_by_eye()
        for part in ("train", "tune"):
            parts[part] = [completed(scene, heads.get(scene.name, [])) for scene in parts[part]]
    return parts


def seen_by_eye() -> dict[str, list[tuple[np.ndarray, int | None]]]:
    """By photo: the boxes of `HEADS`, and what is there; none where it cannot be told."""
    heads: dict[str, list[tuple[np.ndarray, int | None]]] = {}
    for row in HEADS.read_text().splitlines():
        name, *corners, label = row.split()
        kind = None if label == UNCLEAR else HELMET.labels.index(label)
        heads.setdefault(name, []).append((np.array(corners, np.float32), kind))
    return heads


def corrected(scene: Scene, heads: list[tuple[np.ndarray, int | None]]) -> tuple[Scene, list[tuple[np.ndarray, int | None]]]:
    """The scene with its wrong labels put right, and those of `heads` that have none."""
    classes, new = scene.classes.copy(), []
    for box, kind in heads:
        overlaps = iou(box[None], scene.boxes)[0]
        if kind is not None and overlaps.max(initial=0) >= SAME:
            classes[overlaps.argmax()] = kind
        else:
            new.append((box, kind))
    return replace(scene, classes=classes), new


def completed(scene: Scene, heads: list[tuple[np.ndarray, int | None]]) -> Scene:
    """To train on: the heads seen by eye are labels, unclear ones ignored."""
    scene, new = corrected(scene, heads)
    boxes, kinds = np.array([box for box, _ in new], np.float32).reshape(-1, 4), [kind for _, kind in new]
    known = np.array([kind is not None for kind in kinds], bool)
    return replace(
        scene,
        boxes=np.concatenate((scene.boxes, boxes[known])),
        classes=np.concatenate((scene.classes, np.array([kind for kind in kinds if kind is not None], np.int64))),
        ignored=np.concatenate((scene.ignored, boxes[~known])),
    )


def spared(scene: Scene, heads: list[tuple[np.ndarray, int | None]]) -> Scene:
    """To measure: finding a head that was seen by eye, as what it is, is neither right nor false; unclear ones count for nothing at all."""
    scene, new = corrected(scene, heads)
    boxes = np.array([box for box, _ in new], np.float32).reshape(-1, 4)
    known = np.array([kind is not None for _, kind in new], bool)
    classes = np.array([kind for _, kind in new if kind is not None], np.int64)
    return replace(scene, spare=boxes[known], spare_classes=classes, ignored=np.concatenate((scene.ignored, boxes[~known])))


def mark_unlabelled(scenes: list[Scene], segments: list[str]) -> None:
    """Tells each scene which classes nobody labelled in its segment; see `LONG`."""
    labelled = {segment: set() for segment in segments}
    for scene, segment in zip(scenes, segments, strict=True):
        labelled[segment].update(scene.classes.tolist())
    everywhere = frozenset().union(*labelled.values())
    for scene, segment in zip(scenes, segments, strict=True):
        if segments.count(segment) >= LONG:
            scene.unlabelled = everywhere - labelled[segment]


def groups(scenes: list[Scene]) -> list[str]:
    """For each photo the name of the first one of its group: those that are linked by being alike.

    Two are alike when their perceptual hashes (signs of the low frequencies of 32x32 greys; also mirrored) differ in few bits, when
    their 12x12 thumbnails correlate, or when their histograms of colour (8x8x8, Bhattacharyya coefficient) agree: the same place.
    """
    hashes, mirrored, shades, colours = [], [], [], []
    cosines = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(32)[None] + 1) / 64)
    for scene in scenes:
        grey = np.asarray(scene.image.convert("L").resize((32, 32)), np.float32)
        for bits, picture in ((hashes, grey), (mirrored, grey[:, ::-1])):
            low = (cosines @ picture @ cosines.T).ravel()[1:]
            bits.append(low > np.median(low))
        thumbnail = np.asarray(scene.image.resize((12, 12), Image.Resampling.BOX), np.float32).ravel()
        thumbnail -= thumbnail.mean()
        shades.append(thumbnail / np.linalg.norm(thumbnail))
        levels = np.asarray(scene.image.resize((160, 160)), np.int64) // 32
        histogram = np.bincount((levels @ (64, 8, 1)).ravel(), minlength=512)
        colours.append(np.sqrt(histogram / histogram.sum()))
    bits, turned, shades, colours = np.array(hashes), np.array(mirrored), np.array(shades), np.array(colours)
    apart = np.minimum((bits[:, None] != bits[None]).sum(2), (bits[:, None] != turned[None]).sum(2))
    alike = (apart <= ALIKE_BITS) | (shades @ shades.T >= ALIKE_SHADES) | (colours @ colours.T >= ALIKE_COLOURS)
    first = np.arange(len(scenes))
    while True:
        linked = np.where(alike | alike.T, first[None], len(scenes)).min(1)
        if (linked == first).all():
            return [scenes[index].name for index in first]
        first = linked


def add_unlabelled(model, scenes: list[Scene], sure: float, ignore: float, taught: tuple[str, ...]) -> None:
    """Adds what `model` sees outside all labels: labels of the kinds `taught` where it is `sure`, otherwise ignored places.

    A rider belongs to the motorbike: a person who is mostly within one, grown upwards, makes its box larger and is none himself.
    """
    wanted = [VEHICLES.labels.index(label) for label in taught]
    motorbike, person = VEHICLES.labels.index("motorbike"), VEHICLES.labels.index("person")
    for scene in scenes:
        boxes, scores, classes = model.detect(scene.image, ignore, 0.45)
        boxes = boxes.astype(np.float32)
        riding = np.zeros(len(boxes), bool)
        for index in np.flatnonzero(classes == motorbike):
            x0, y0, x1, y1 = boxes[index]
            reach = np.array([[x0, y0 - (y1 - y0), x1, y1]], np.float32)
            riders = (classes == person) & (covered(boxes, reach)[:, 0] > 0.6) & (boxes[:, 3] > y0 + 0.2 * (y1 - y0))
            riding |= riders
            whole = boxes[riders | (np.arange(len(boxes)) == index)]
            boxes[index] = (*whole[:, :2].min(0), *whole[:, 2:].max(0))
        new = (covered(boxes, scene.boxes).max(1, initial=0) < 0.4) & ~riding
        clear = new & np.isin(classes, wanted) & (scores >= sure)
        scene.ignored = np.concatenate((scene.ignored, boxes[new & ~clear]))
        scene.boxes = np.concatenate((scene.boxes, boxes[clear]))
        scene.classes = np.concatenate((scene.classes, classes[clear]))


def without_labels(scene: Scene) -> Scene:
    """The picture alone, for a task of which it shows nothing."""
    return Scene(scene.image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), name=scene.name)


def street_photos(data: Path) -> list[Scene]:
    """The helmets' training photos without their labels: riders, and streets of other places."""
    return [without_labels(photo) for photo in load(HELMET, data)["train"]]
