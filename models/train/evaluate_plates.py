"""Measures the plate finder and the plate reader from their ONNX files alone, with the program's own steps (`platereading.py`).

On held-out photos: boxes found and right at IoU 0.5, plates read exactly from frame to text, precision against coverage when unsure
readings are withheld; by kind of plate; cost on one thread. `--rapidocr FILE` measures the general reader that ours is cut from on the same plates.
A label counts as wrong only when a person looked at the plate: `plates_wrong_labels.txt` names those; scores are printed with and without.
"""

import argparse
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from platephotos import Photo, load_photos
from platereading import Finder, Found, Reader, Reading, iou, read, session, straighten
from platescenes import Composer, draw_plates, load_backgrounds
from platetext import ALPHABET

SAME = 0.5  # IoU from which a box found and a box labelled are one plate
KINDS = ("moto", "car1line", "car2line")
DRAWN_SEED = 990_000


@dataclass
class Outcome:
    """One labelled plate: its kind and text, the box that found it, what was read there."""

    photo: str
    kind: str
    text: str
    found: Found | None
    reading: Reading | None

    @property
    def right(self) -> bool:
        return self.reading is not None and self.reading.text == self.text


def match(boxes: np.ndarray, found: list[Found]) -> list[int]:
    """For each labelled box the index of the plate that found it, or -1; the best plates choose first."""
    owner = [-1] * len(boxes)
    for index, plate in enumerate(found):
        overlap = iou(plate.box, boxes) if len(boxes) else np.zeros(0)
        free = [(share, label) for label, share in enumerate(overlap) if share >= SAME and owner[label] < 0]
        if free:
            owner[max(free)[1]] = index
    return owner


def boxes_report(title: str, cases: list[tuple[np.ndarray, list[Found]]], floors: tuple[float, ...]) -> None:
    """Precision and recall of the boxes at several scores; `cases` were found at a score below all of them."""
    for floor in floors:
        labelled = total = hits = 0
        for boxes, found in cases:
            kept = [plate for plate in found if plate.score >= floor]
            labelled, total = labelled + len(boxes), total + len(kept)
            hits += sum(index >= 0 for index in match(boxes, kept))
        print(f"{title}: score >= {floor:.2f}: precision {hits / max(total, 1):.3f}, recall {hits / max(labelled, 1):.3f} of {labelled}")


def coverage(outcomes: list[Outcome], title: str, wanted: float) -> None:
    """Exact readings, and how many may be given when readings below a confidence are withheld."""
    if not outcomes:
        return
    exact = sum(outcome.right for outcome in outcomes)
    print(f"{title}: {len(outcomes)} texts, found {sum(o.found is not None for o in outcomes)}, read exactly {exact / len(outcomes):.3f}")
    ranked = sorted((o for o in outcomes if o.reading and o.reading.confidence > 0), key=lambda o: -o.reading.confidence)
    right = np.cumsum([outcome.right for outcome in ranked])
    best = ""
    for count in range(1, len(ranked) + 1):
        if right[count - 1] / count >= wanted:
            best = f"confidence >= {ranked[count - 1].reading.confidence:.3f}: precision {right[count - 1] / count:.3f}, coverage {count / len(outcomes):.3f}"
    print(f"  most coverage at precision {wanted}: {best or 'none'}")
    for floor in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        given = [outcome for outcome in ranked if outcome.reading.confidence >= floor]
        if given:
            print(f"  confidence >= {floor}: precision {np.mean([o.right for o in given]):.3f}, coverage {len(given) / len(outcomes):.3f}")


class General:
    """A general line reader (PP-OCR): the plate whole when it is wide, else its upper and lower half; plate characters only."""

    def __init__(self, path: Path):
        self.session = session(path)
        names = self.session.get_modelmeta().custom_metadata_map["character"].split("\n")
        self.columns = np.array([0] + [names.index(char) + 1 for char in ALPHABET])
        self.name = self.session.get_inputs()[0].name

    def line(self, pixels: np.ndarray) -> np.ndarray:
        wide = max(32, round(pixels.shape[1] * 48 / pixels.shape[0]))
        blob = cv2.resize(pixels, (wide, 48)).astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
        steps = self.session.run(None, {self.name: blob})[0][0][:, self.columns]
        return steps / steps.sum(1, keepdims=True)

    def read(self, frame: np.ndarray, corners: np.ndarray) -> Reading:
        wide = np.linalg.norm(corners[1] - corners[0])
        tall = np.linalg.norm(corners[3] - corners[0])
        high = 96
        size = (max(16, round(high * wide / tall)), high)
        target = np.array(((0, 0), (size[0], 0), size, (0, size[1])), np.float32)
        matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
        flat = cv2.warpPerspective(frame, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        parts = [flat] if wide / tall > 2.2 else [flat[: high // 2], flat[high // 2 :]]
        return read(np.concatenate([self.line(part) for part in parts]), len(parts) - 1.0)


def upright(box: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = box
    return np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float32)


def end_to_end(photos: list[Photo], plates: list[list[Found]], reader) -> list[Outcome]:
    """Reads every found plate that has a labelled text."""
    outcomes = []
    for photo, found in zip(photos, plates):
        owner = match(photo.boxes, found)
        for label, (text, kind) in enumerate(zip(photo.texts, photo.kinds)):
            if text:
                plate = found[owner[label]] if owner[label] >= 0 else None
                reading = reader.read(photo.pixels, plate.corners) if plate else None
                outcomes.append(Outcome(photo.name, kind, text, plate, reading))
    return outcomes


def cost(run, runs: int) -> str:
    spent = []
    for _ in range(runs):
        start = time.thread_time()
        run()
        spent.append((time.thread_time() - start) * 1e3)
    return f"median {np.median(spent):.2f}, best {min(spent):.2f} CPU-ms"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--finder", type=Path, default=Path("models/plates.onnx"))
    arguments.add_argument("--reader", type=Path, default=Path("vendor/plates/plate-reader.onnx"))
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds plates/ and scenes/")
    arguments.add_argument("--wanted", type=float, default=0.98, help="precision wanted of the readings that are given")
    arguments.add_argument("--drawn", type=int, default=150, help="composed street pictures with drawn plates to find plates in")
    arguments.add_argument("--rapidocr", type=Path, help="PP-OCR recognition model to compare with (the file in PyPI's rapidocr)")
    arguments.add_argument(
        "--doubtful", type=Path, help="folder for cut-outs whose confident reading differs from the label, to be looked at"
    )
    arguments.add_argument("--runs", type=int, default=100, help="runs of the timing")
    options = arguments.parse_args()
    cv2.setNumThreads(0)
    with options.finder.with_suffix(".toml").open("rb") as file:
        limits = tomllib.load(file)["thresholds"]
    finder, reader = Finder(options.finder), Reader(options.reader)
    photos = [photo for photo in load_photos(options.data / "plates") if photo.held_out]
    plates = [finder.find(photo.pixels, 0.1, limits["nms"]) for photo in photos]
    floors = tuple(sorted({0.2, 0.3, 0.4, 0.5, 0.6, limits["score"]}))
    boxes_report("held-out photos", [(photo.boxes, found) for photo, found in zip(photos, plates)], floors)
    for name, tune in (("half of them, to choose the score on", True), ("the other half", False)):
        half = [(photo.boxes, found) for photo, found in zip(photos, plates) if photo.tune is tune]
        boxes_report(name, half, tuple(limits["score"] + step for step in (-0.04, 0.0, 0.04)))
    street = [pair for pair in zip(photos, plates) if not pair[0].name.startswith(("CarLong", "xemay"))]
    boxes_report("of these, streets", [(photo.boxes, found) for photo, found in street], (limits["score"],))
    if options.drawn:
        composer = Composer([], load_backgrounds(options.data / "scenes", 40), draw_plates(300, DRAWN_SEED), photo_share=0.0)
        views = [composer.view(np.random.default_rng(DRAWN_SEED + index)) for index in range(options.drawn)]
        found = [finder.find(view.pixels, 0.1, limits["nms"]) for view in views]
        labels = [np.concatenate((view.quads.min(1), view.quads.max(1)), 1) for view in views]
        boxes_report("drawn plates", list(zip(labels, found)), (0.2, limits["score"]))
        off = []
        for view, boxes, given in zip(views, labels, found):
            for label, index in enumerate(match(boxes, given)):
                if index >= 0:
                    off.append(
                        np.abs(given[index].corners - view.quads[label]).mean() / np.sqrt((boxes[label, 2:] - boxes[label, :2]).prod())
                    )
        print(f"drawn plates: corners off by {np.median(off):.3f} (median), {np.quantile(off, 0.9):.3f} (90 %) of the box's mean side")
    plates = [[plate for plate in found if plate.score >= limits["score"]] for found in plates]
    outcomes = end_to_end(photos, plates, reader)
    wrong = set((Path(__file__).parent / "plates_wrong_labels.txt").read_text(encoding="utf-8").split())
    coverage(outcomes, "frame to text, all labels", options.wanted)
    reviewed = [outcome for outcome in outcomes if outcome.photo not in wrong]
    coverage(reviewed, f"without {len(outcomes) - len(reviewed)} labels found wrong by eye", options.wanted)
    for kind in KINDS:
        coverage([outcome for outcome in reviewed if outcome.kind == kind], kind, options.wanted)
    if options.rapidocr:
        general = General(options.rapidocr)
        truth = [[Found(box, upright(box), 1.0) for box in photo.boxes] for photo in photos]
        for name, one in (("general reader, line by line,", general), ("our reader", reader)):
            given = [outcome for outcome in end_to_end(photos, truth, one) if outcome.photo not in wrong]
            coverage(given, f"{name} on the labelled boxes", options.wanted)
        print(f"general reader: {cost(lambda: general.read(photos[0].pixels, upright(photos[0].boxes[0])), options.runs)} a plate")
    if options.doubtful:
        options.doubtful.mkdir(parents=True, exist_ok=True)
        for outcome, photo in ((o, p) for o in outcomes for p in photos if p.name == o.photo):
            if outcome.reading and not outcome.right:
                flat = cv2.resize(straighten(photo.pixels, outcome.found.corners), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
                note = f"{outcome.text} / {outcome.reading.text} {outcome.reading.confidence:.2f} {outcome.photo}"
                strip = cv2.putText(np.full((26, flat.shape[1], 3), 255, np.uint8), note, (4, 18), 0, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
                cv2.imwrite(str(options.doubtful / f"{outcome.reading.confidence:.3f}-{outcome.photo}.png"), np.vstack((flat, strip)))
    frame = photos[0].pixels
    blob = finder.letterbox(frame)[0].transpose(2, 0, 1)[None].astype(np.float32)
    print(f"finder, network alone: {cost(lambda: finder.session.run(None, {'images': blob}), options.runs)} a frame")
    corners = upright(photos[0].boxes[0])
    print(f"reader, straightening and decoding too: {cost(lambda: reader.read(frame, corners), options.runs)} a plate")


if __name__ == "__main__":
    main()
