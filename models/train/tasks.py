"""The detectors that are trained here: labels, start weights, sizes, and how each one's pictures are viewed while it learns.

Invariant: the order of `labels` is the order of the model's class scores, and of the labels in its manifest.
"""

from dataclasses import dataclass

Size = tuple[int, int]  # width, height: multiples of 32


@dataclass(frozen=True)
class Task:
    name: str
    labels: tuple[str, ...]
    start_rows: tuple[int, ...]  # the rows of the 80 COCO classes that start each label
    files: dict[str, Size]  # exported file (without .onnx) and its input
    canvases: tuple[Size, ...]  # one is drawn for each batch
    zoom: tuple[float, float]  # least and greatest scale of a view, in parts of the letterbox's
    squeeze: tuple[float, float]  # vertical scale over the horizontal one
    mosaic: float = 0.0  # share of the pictures that are put together out of four
    crops: float = 0.0  # share of the pictures that are seen as the product crops them: around a label, enlarged


VEHICLES = Task(
    "vehicles",
    ("car", "motorbike", "bus", "truck", "person", "traffic_light"),
    (2, 3, 5, 7, 0, 9),
    {"vehicles": (576, 448)},
    ((416, 256), (512, 320), (640, 384), (416, 416), (512, 512)),
    # The frames of the junction are square and were 16:9 once: both shapes are met.
    (1.0, 2.8),
    (0.5, 1.1),
)
WASTE = Task(
    "waste",
    ("garbage", "garbage_bin", "overflow"),
    (26, 75, 75),  # handbag and vase: nothing in COCO is nearer
    {"waste": (416, 416)},
    ((320, 320), (416, 256), (320, 320), (416, 416)),
    (0.75, 1.9),
    (0.65, 1.2),
    mosaic=0.4,
)
HELMET = Task(
    "helmet",
    ("with_helmet", "without_helmet"),
    (0, 0),
    {"helmet": (384, 384)},
    ((256, 256), (320, 320), (384, 384)),
    (0.7, 2.2),
    (0.8, 1.25),
    mosaic=0.25,
    crops=0.5,
)
TASKS = {task.name: task for task in (VEHICLES, WASTE, HELMET)}
