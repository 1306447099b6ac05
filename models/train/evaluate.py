"""Measures the shipped detectors from their manifests and ONNX files alone, and prints one table.

AP50 is the area under the precision-recall curve (precision made monotonic, every point), detections matched greedily by
score to labels at IoU >= 0.5, within one class. A class without labels in the set has no AP and is left out of the mean; the mean over
classes with ten labels or more stands beside it. Rows "where labelled" leave out what was found of a class in a segment where nobody
labelled that class (`data.py`, `LONG`), as LVIS does with images that are not exhaustively labelled; the other rows count it as false.
Rows "labels completed by eye" leave out the finds that are heads without a label, of the class that they are (`helmet_heads.txt`), and correct
the labels that were found wrong; a head there that is told as the other class is false in both.
"Right" and "found" are precision and recall over all labels at the manifest's threshold. Only pictures of the part `test` are
measured (`data.py`), none of which was trained on, nor used to choose a threshold.
"""

import argparse
import functools
import hashlib
import time
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from data import load, seen_by_eye, spared
from drawn import draw_scene
from scenes import Scene, area, iou, letterbox, place
from tasks import HELMET, TASKS, VEHICLES, Size, Task

OVERLAP = 0.45  # IoU above which suppression drops the weaker box of a class
DRAWN_SEED = 1_000_000  # seeds from here on are never trained on
FEW = 10  # labels: fewer say nothing about a class
Found = dict[int, list[tuple[float, bool]]]  # by class: score and rightness of each detection
Scores = dict[str, tuple[float, int]]  # by label: AP50 and the number of labels


class Model:
    """The exported file as its consumer sees it: letterbox, run, decode, non-maximum suppression."""

    def __init__(self, path: Path, size: Size, step: int | None = None):
        """For pictures of up to `size`; with a `step` smaller ones too, in multiples of so many pixels."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (self.width, self.height), self.step = size, step

    def detect(self, image: Image.Image, floor: float, overlap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes x0, y0, x1, y1 in pixels of the picture, scores, classes; best score first."""
        pixels, scale = letterbox(image, self.width, self.height, self.step)
        stride, grid = cells(*pixels.shape[:0:-1])
        raw = self.session.run(None, {"images": pixels[None]})[0][0]
        scores = raw[:, 4] * raw[:, 5:].max(1)
        kept = np.flatnonzero(scores >= floor)
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        centre = (raw[kept, :2] + grid[kept]) * stride[kept]
        half = np.exp(raw[kept, 2:4]) * stride[kept] / 2
        boxes, scores, classes = np.concatenate((centre - half, centre + half), 1) / scale, scores[kept], raw[kept, 5:].argmax(1)
        chosen = suppress(boxes, classes, overlap)
        return boxes[chosen], scores[chosen], classes[chosen]


@functools.cache
def cells(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Stride, and column and row, of every cell of the three grids over a picture of so many pixels."""
    all_cells = np.array([(s, x, y) for s in (8, 16, 32) for y in range(height // s) for x in range(width // s)], np.float32)
    return all_cells[:, :1], all_cells[:, 1:]


def suppress(boxes: np.ndarray, classes: np.ndarray, overlap: float) -> list[int]:
    """Indices that survive per-class non-maximum suppression, `boxes` being ordered by score."""
    meets = (iou(boxes, boxes) > overlap) & (classes[:, None] == classes[None])
    alive = np.ones(len(boxes), bool)
    chosen = []
    for index in range(len(boxes)):
        if alive[index]:
            chosen.append(index)
            alive &= ~meets[index]
    return chosen


def match(model: Model, scenes: list[Scene], labels: tuple[str, ...], overlap: float) -> tuple[Found, Found, np.ndarray]:
    """Every detection, right or not; those of classes that were labelled in the scene's segment; the number of labels of each class."""
    found, fair = ({label: [] for label in range(len(labels))} for _ in range(2))
    totals = np.zeros(len(labels), int)
    for scene in scenes:
        boxes, scores, classes = model.detect(scene.image, 0.005, overlap)
        totals += np.bincount(scene.classes, minlength=len(labels))
        for label in range(len(labels)):
            truth = scene.boxes[scene.classes == label]
            free = np.ones(len(truth), bool)
            mine = classes == label
            hidden = iou(boxes[mine], np.concatenate((scene.ignored, scene.spare[scene.spare_classes == label]))).max(1, initial=0) >= 0.5
            for score, overlaps, skip in zip(scores[mine], iou(boxes[mine], truth), hidden, strict=True):
                best = np.where(free, overlaps, -1).argmax() if len(truth) else None
                hit = best is not None and free[best] and overlaps[best] >= 0.5
                if hit:
                    free[best] = False
                if hit or not skip:
                    found[label].append((float(score), bool(hit)))
                    if label not in scene.unlabelled:
                        fair[label].append((float(score), bool(hit)))
    return found, fair, totals


def scores_of(found: Found, totals: np.ndarray, labels: tuple[str, ...]) -> Scores:
    return {labels[label]: (area_under(found[label], totals[label]), int(totals[label])) for label in found if totals[label]}


def average_precision(model: Model, scenes: list[Scene], labels: tuple[str, ...], overlap: float) -> Scores:
    """AP50 and number of labels of each class that has any."""
    found, _, totals = match(model, scenes, labels, overlap)
    return scores_of(found, totals, labels)


def mean_of(scores: Scores, least: int = 1) -> float:
    """The mean AP50 of the classes with so many labels."""
    return float(np.mean([score for score, labels in scores.values() if labels >= least]))


def at(found: Found, totals: np.ndarray, floor: float) -> tuple[float, float]:
    """What share of the detections at or above `floor` is right, and what share of the labels is found, over classes with labels."""
    hits = [hit for label in found if totals[label] for score, hit in found[label] if score >= floor]
    return float(np.mean(hits or [0])), sum(hits) / max(1, totals.sum())


def area_under(found: list[tuple[float, bool]], total: int) -> float:
    hits = np.array([hit for _, hit in sorted(found, key=lambda item: -item[0])], float)
    if not len(hits):
        return 0.0
    right = hits.cumsum()
    precision = np.maximum.accumulate((right / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float((precision * hits).sum() / total)


def cost(model: Model, runs: int) -> tuple[float, float]:
    """Median and best ms of the network alone, one thread, batch 1."""
    pixels = np.full((1, 3, model.height, model.width), 114, np.float32)
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        model.session.run(None, {"images": pixels})
        spent.append((time.perf_counter() - start) * 1e3)
    return float(np.median(spent)), min(spent)


def squeezed(scene: Scene) -> Scene:
    """A square frame back in 16:9, as its camera saw it."""
    factor = np.array((1, 9 / 16, 1, 9 / 16), np.float32)
    image = scene.image.resize((scene.image.width, scene.image.height * 9 // 16))
    return Scene(image, scene.boxes * factor, scene.classes, scene.ignored * factor, unlabelled=scene.unlabelled)


def rider_crops(scenes: list[Scene]) -> list[Scene]:
    """For each head a square around it and what is below, five heads wide: what the product looks at of a motorbike."""
    crops = []
    for scene in scenes:
        for x0, y0, x1, y1 in scene.boxes:
            side = max(16, round(5 * float(np.sqrt((x1 - x0) * (y1 - y0)))))
            left, top = round(float(x0 + x1 - side) / 2), round(float(y0 + y1) / 2 - 0.3 * side)
            boxes, seen = place(scene.boxes, 1, 1, -left, -top, side, side)
            image = scene.image.crop((left, top, left + side, top + side))
            whole, partly = seen >= 0.6, (seen > 0.02) & (seen < 0.6)
            spare, ignored = (place(others, 1, 1, -left, -top, side, side)[0] for others in (scene.spare, scene.ignored))
            ignored = np.concatenate((ignored, boxes[partly]))
            crops.append(
                Scene(
                    image, boxes[whole], scene.classes[whole], ignored[area(ignored) > 0], spare=spare, spare_classes=scene.spare_classes
                )
            )
    return crops


def sets_of(task: Task, part: list[Scene], drawn: int) -> dict[str, list[Scene]]:
    """What a detector is measured on, by name."""
    if task is VEHICLES:
        drawings = [draw_scene(np.random.default_rng(DRAWN_SEED + index)) for index in range(drawn)]
        return {"frames, square": part, "frames in 16:9": [squeezed(scene) for scene in part], "drawn scenes": drawings}
    if task is HELMET:
        heads = seen_by_eye()
        eyed = [spared(scene, heads.get(scene.name, [])) for scene in part]
        return {
            "photos": part,
            "photos, labels completed by eye": eyed,
            "crops of riders": rider_crops(part),
            "crops of riders, labels completed by eye": rider_crops(eyed),
        }
    return {"photos": part}


def line(scores: Scores) -> str:
    parts = "  ".join(f"{label} {score:.3f} ({labels})" for label, (score, labels) in scores.items())
    return f"mean {mean_of(scores):.3f}  {parts}"


def task_of(manifest: dict) -> Task | None:
    """The task that a manifest's labels are of, or none: a detector of another kind."""
    return next((task for task in TASKS.values() if list(task.labels) == manifest["labels"]), None)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("manifests", type=Path, nargs="*", help="all of models/*.toml that are trained here, when none is named")
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds scenes/")
    arguments.add_argument("--part", choices=("tune", "test"), default="test")
    arguments.add_argument("--thresholds", action="store_true", help="print precision and recall by score as well")
    arguments.add_argument("--drawn", type=int, default=100, help="drawn scenes to measure the vehicles on")
    arguments.add_argument("--runs", type=int, default=200, help="runs of the timing")
    options = arguments.parse_args()
    print(f"| model | input | set | pictures | AP50 by class (labels) | mean | mean, {FEW} labels or more | score ≥ | right | found | ms (median, best) |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for path in options.manifests or sorted(Path(__file__).parent.parent.glob("*.toml")):
        manifest = tomllib.loads(path.read_text())
        if (task := task_of(manifest)) is None:
            continue
        file = path.parent / manifest["file"]
        if (digest := hashlib.sha256(file.read_bytes()).hexdigest()) != manifest["sha256"]:
            raise SystemExit(f"{file}: found sha256 {digest}, expected {manifest['sha256']} as in {path}")
        described, floor = manifest["input"], manifest["thresholds"]["score"]
        model = Model(file, (described["width"], described["height"]), described.get("step"))
        median, best = cost(model, options.runs)
        for name, scenes in sets_of(task, load(task, options.data)[options.part], options.drawn).items():
            found, fair, totals = match(model, scenes, task.labels, manifest["thresholds"]["nms"])
            rows = {name: found, f"{name}, where labelled": fair} if any(scene.unlabelled for scene in scenes) else {name: found}
            for row, counted in rows.items():
                scores, (right, seen) = scores_of(counted, totals, task.labels), at(counted, totals, floor)
                classes = ", ".join(f"{label} {score:.3f} ({labels})" for label, (score, labels) in scores.items())
                print(
                    f"| {manifest['name']} | {model.width}×{model.height} | {row} | {len(scenes)} | {classes} | {mean_of(scores):.3f} "
                    f"| {mean_of(scores, FEW):.3f} | {floor} | {right:.3f} | {seen:.3f} | {median:.1f}, {best:.1f} |",
                    flush=True,
                )
            if options.thresholds:
                for score in np.arange(0.1, 0.7, 0.05):
                    print("  score >= {:.2f}: right {:.3f}, found {:.3f}".format(score, *at(fair, totals, score)))


if __name__ == "__main__":
    main()
