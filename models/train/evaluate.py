"""Measures a traffic detector's ONNX file: AP50 per class on the held-out frames and on drawn scenes, and its cost on one thread.

The held-out frames are measured twice: as they are, square, and squeezed to 16:9, the shape that the camera's picture had.

AP50 is the area under the precision-recall curve (precision made monotonic, every point), detections matched greedily by
score to labels at IoU >= 0.5, within one class. A class without labels in the set has no AP and is left out of the mean.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime

from drawn import draw_scene
from scenes import LABELS, Scene, letterbox, load_frames

HELD_OUT = 30  # the last frames in time
OVERLAP = 0.45  # IoU above which suppression drops the weaker box of a class; as in the model's manifest
DRAWN_SEED = 1_000_000  # seeds from here on are never trained on


class Model:
    """The exported file as its consumer sees it: letterbox, run, decode, non-maximum suppression."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.height, self.width = self.session.get_inputs()[0].shape[2:]
        cells = [(s, x, y) for s in (8, 16, 32) for y in range(self.height // s) for x in range(self.width // s)]
        self.stride, self.grid = np.array(cells, np.float32)[:, :1], np.array(cells, np.float32)[:, 1:]

    def detect(self, image, floor: float, overlap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes x0, y0, x1, y1 in pixels of the picture, scores, classes; best score first."""
        pixels, scale = letterbox(image, self.width, self.height)
        raw = self.session.run(None, {"images": pixels[None]})[0][0]
        scores = raw[:, 4] * raw[:, 5:].max(1)
        kept = np.flatnonzero(scores >= floor)
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        centre = (raw[kept, :2] + self.grid[kept]) * self.stride[kept]
        half = np.exp(raw[kept, 2:4]) * self.stride[kept] / 2
        boxes, scores, classes = np.concatenate((centre - half, centre + half), 1) / scale, scores[kept], raw[kept, 5:].argmax(1)
        chosen = suppress(boxes, classes, overlap)
        return boxes[chosen], scores[chosen], classes[chosen]


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


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of `a` with every box of `b`."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    size_a, size_b = ((box[:, 2:] - box[:, :2]).prod(1) for box in (a, b))
    return shared / np.maximum(size_a[:, None] + size_b[None] - shared, 1e-9)


def match(model: Model, scenes: list[Scene], overlap: float) -> tuple[dict[int, list[tuple[float, bool]]], np.ndarray]:
    """Score and rightness of every detection, by class, and the number of labels of each class."""
    found: dict[int, list[tuple[float, bool]]] = {label: [] for label in range(len(LABELS))}
    totals = np.zeros(len(LABELS), int)
    for scene in scenes:
        boxes, scores, classes = model.detect(scene.image, 0.005, overlap)
        totals += np.bincount(scene.classes, minlength=len(LABELS))
        for label in range(len(LABELS)):
            truth = scene.boxes[scene.classes == label]
            free = np.ones(len(truth), bool)
            mine = classes == label
            hidden = iou(boxes[mine], scene.ignored).max(1, initial=0) >= 0.5
            for score, overlaps, skip in zip(scores[mine], iou(boxes[mine], truth), hidden, strict=True):
                best = np.where(free, overlaps, -1).argmax() if len(truth) else None
                hit = best is not None and free[best] and overlaps[best] >= 0.5
                if hit:
                    free[best] = False
                if hit or not skip:
                    found[label].append((float(score), hit))
    return found, totals


def average_precision(model: Model, scenes: list[Scene], overlap: float) -> dict[str, tuple[float, int]]:
    """AP50 and number of labels of each class that has any."""
    found, totals = match(model, scenes, overlap)
    return {LABELS[label]: (area_under(found[label], totals[label]), int(totals[label])) for label in found if totals[label]}


def thresholds(model: Model, scenes: list[Scene], overlap: float) -> None:
    """Prints what share of the vehicles found is right, and of the labelled ones is found, by the least score accepted."""
    found, totals = match(model, scenes, overlap)
    vehicles = [LABELS.index(label) for label in ("car", "motorbike", "bus", "truck")]
    for floor in np.arange(0.15, 0.55, 0.05):
        kept = [hit for label in vehicles for score, hit in found[label] if score >= floor]
        print(f"  score >= {floor:.2f}: right {np.mean(kept or [0]):.3f}, found {sum(kept) / totals[vehicles].sum():.3f}")


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
    """A square frame back in 16:9."""
    factor = np.array((1, 9 / 16, 1, 9 / 16), np.float32)
    image = scene.image.resize((scene.image.width, scene.image.height * 9 // 16))
    return Scene(image, scene.boxes * factor, scene.classes, scene.ignored * factor)


def report(title: str, result: dict[str, tuple[float, int]]) -> None:
    line = "  ".join(f"{label} {score:.3f} ({labels})" for label, (score, labels) in result.items())
    print(f"{title}: mean {np.mean([score for score, _ in result.values()]):.3f}  {line}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", type=Path, default=Path("models/vehicles.onnx"))
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds scenes/traffic")
    arguments.add_argument("--drawn", type=int, default=100, help="drawn scenes to measure on as well")
    arguments.add_argument("--overlap", type=float, default=OVERLAP, help="IoU above which suppression drops the weaker box")
    arguments.add_argument("--thresholds", action="store_true", help="print precision and recall by score as well")
    arguments.add_argument("--runs", type=int, default=200, help="runs of the timing")
    options = arguments.parse_args()
    model = Model(options.model)
    print(f"{options.model}: input {model.width}x{model.height}")
    frames = load_frames(options.data / "scenes/traffic")[-HELD_OUT:]
    report("held-out frames", average_precision(model, frames, options.overlap))
    if options.thresholds:
        thresholds(model, frames, options.overlap)
    report("held-out frames in 16:9", average_precision(model, [squeezed(frame) for frame in frames], options.overlap))
    if options.drawn:
        scenes = [draw_scene(np.random.default_rng(DRAWN_SEED + index)) for index in range(options.drawn)]
        report("drawn scenes", average_precision(model, scenes, options.overlap))
        if options.thresholds:
            thresholds(model, scenes, options.overlap)
    median, best = cost(model, options.runs)
    print(f"one thread: median {median:.1f} ms, best {best:.1f} ms a frame")


if __name__ == "__main__":
    main()
