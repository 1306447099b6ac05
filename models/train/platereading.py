"""From a frame to readings with the two ONNX files alone: the very steps that the program takes, in the order it takes them.

Whoever changes a step here changes it in the program and in the model cards too.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from PIL import Image

from platetext import spell

PLATE_WIDTH, PLATE_HEIGHT = 224, 96  # input of the reader
WIDEN = 0.04  # how far the corners are moved outwards, as a part of their distance to the plate's middle
PAD = 114


@dataclass
class Found:
    """A plate in pixels of the frame: box `x0, y0, x1, y1`, corners from the top left clockwise `[4, 2]`, score."""

    box: np.ndarray
    corners: np.ndarray
    score: float


@dataclass
class Reading:
    """The best well-formed text (empty: none) and its probability; what the network alone would have said; that there are two lines."""

    text: str
    confidence: float
    raw: str
    two_lines: float


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(1)
    return shared / np.maximum((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared, 1e-6)


def straighten(frame: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The plate as the reader wants it, 224x96, whatever its proportions; outside the frame the edge pixels go on.

    Each pixel is the mean of n x m bilinear samples, across and down, as many as the plate is larger than the reader's input (at most 4).
    """
    wider = corners + WIDEN * (corners - corners.mean(0))
    spans = np.linalg.norm(wider[1] - wider[0]) / PLATE_WIDTH, np.linalg.norm(wider[3] - wider[0]) / PLATE_HEIGHT
    across, down = (int(np.clip(np.ceil(span), 1, 4)) for span in spans)
    size = (PLATE_WIDTH * across, PLATE_HEIGHT * down)
    target = np.array(((0, 0), (size[0], 0), size, (0, size[1])), np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(target, wider.astype(np.float32) - 0.5)
    flat = cv2.warpPerspective(frame, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(flat, (PLATE_WIDTH, PLATE_HEIGHT), interpolation=cv2.INTER_AREA) if across * down > 1 else flat


class Finder:
    """The plate finder."""

    def __init__(self, path: Path):
        self.session = session(path)
        _, _, self.height, self.width = self.session.get_inputs()[0].shape

    def letterbox(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Proportions kept, at the top left, the rest 114; the scale goes from frame to input."""
        high, wide = frame.shape[:2]
        scale = min(self.width / wide, self.height / high)
        size = (max(1, round(wide * scale)), max(1, round(high * scale)))
        small = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
        canvas = np.full((self.height, self.width, 3), PAD, np.uint8)
        canvas[: size[1], : size[0]] = small
        return canvas, scale

    def find(self, frame: np.ndarray, floor: float, overlap: float) -> list[Found]:
        """Plates of a BGR frame with at least the score `floor`, best first; of two that overlap more than `overlap` the better."""
        canvas, scale = self.letterbox(frame)
        rows = self.session.run(None, {"images": canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        rows = rows[rows[:, 0] >= floor]
        rows = rows[np.argsort(-rows[:, 0], kind="stable")]
        kept: list[np.ndarray] = []
        for row in rows:
            if not kept or iou(row[1:5], np.stack(kept)[:, 1:5]).max() <= overlap:
                kept.append(row)
        return [Found(row[1:5] / scale, row[5:].reshape(4, 2) / scale, float(row[0])) for row in kept]


def read(steps: np.ndarray, two_lines: float) -> Reading:
    """The most probable well-formed text; forms that only motorbikes carry are ruled out on a plate that is surely of one line."""
    raw, texts = spell(steps.astype(np.float64), False if two_lines < 0.2 else None)
    text, chance = texts[0] if texts else ("", 0.0)
    return Reading(text, chance, raw, two_lines)


class Reader:
    """The plate reader."""

    def __init__(self, path: Path):
        self.session = session(path)

    def read(self, frame: np.ndarray, corners: np.ndarray) -> Reading:
        flat = straighten(frame, corners)
        steps, two_lines = self.session.run(None, {"images": flat.transpose(2, 0, 1)[None].astype(np.float32)})
        return read(steps[0], float(two_lines[0, 0]))
