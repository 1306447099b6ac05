"""Fine-tunes YOLOX-nano to the six traffic classes on labelled frames and drawn scenes, and exports it as ONNX.

Labels are assigned to cells as YOLOX does (SimOTA: the cheapest few cells near a label's centre, as many as its predictions
overlap it), with the losses of the YOLOX paper (arXiv:2107.08430): 5 * (1 - IoU^2) + objectness + classes. What the start model sees
but nobody labelled is not taught as background; its clear pedestrians become labels, because the frames have no person labels.
The exported weights are an exponential average over the steps. `--steps 0` only exports (`--weights`, by default the start weights).
"""

import argparse
import hashlib
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional

from drawn import draw_scene
from evaluate import HELD_OUT, OVERLAP, Model, average_precision, iou, report
from scenes import COCO_ROWS, LABELS, Scene, area, augment, load_frames
from yolox import Detector, Export, decode, load_start

GAP = 5  # frames between the training frames and the held-out ones that belong to the same segment of video: used for neither
CANVASES = ((416, 256), (416, 256), (416, 416), (320, 192), (512, 320))  # one is drawn for each batch: width, height
PEDESTRIAN, UNLABELLED = 0.5, 0.25  # scores of the start model from which it adds a person, or an ignored place


def add_unlabelled(model: Model, scenes: list[Scene]) -> None:
    """Adds what `model` (the start weights, at a large input) sees outside all labels: sure pedestrians taught, the rest ignored."""
    for scene in scenes:
        boxes, scores, classes = model.detect(scene.image, UNLABELLED, OVERLAP)
        low, high = np.maximum(boxes[:, None, :2], scene.boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], scene.boxes[None, :, 2:])
        covered = ((high - low).clip(0).prod(2) / np.maximum(area(boxes), 1e-6)[:, None]).max(1, initial=0)
        new = (covered < 0.4) & (iou(boxes, scene.boxes).max(1, initial=0) < 0.3)
        sure = new & (classes == LABELS.index("person")) & (scores >= PEDESTRIAN)
        scene.boxes = np.concatenate((scene.boxes, boxes[sure].astype(np.float32)))
        scene.classes = np.concatenate((scene.classes, classes[sure]))
        scene.ignored = np.concatenate((scene.ignored, boxes[new & ~sure].astype(np.float32)))


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes given as centre and size; the leading shapes broadcast."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared + 1e-6)


@torch.no_grad()
def assign(found: Tensor, boxes: Tensor, classes: Tensor, centres: Tensor, strides: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SimOTA for one picture: the chosen cells, the label of each, and their IoU with it."""
    near = ((centres[None] - boxes[:, None, :2]).abs() < 1.5 * strides[None, :, None]).all(2)
    cells = near.any(0).nonzero().squeeze(1)
    overlaps = pair_iou(found[cells, :4][None], boxes[:, None])
    score = (found[cells, 5:].sigmoid() * found[cells, 4:5].sigmoid()).sqrt()
    wanted = functional.one_hot(classes, len(LABELS)).float()
    guess = functional.binary_cross_entropy(
        score[None].expand(len(boxes), -1, -1), wanted[:, None].expand(-1, len(cells), -1), reduction="none"
    ).sum(2)
    price = guess - 3 * (overlaps + 1e-8).log() + 1e6 * ~near[:, cells]
    matched = torch.zeros_like(price, dtype=torch.bool)
    counts = overlaps.topk(min(10, len(cells)), 1).values.sum(1).int().clamp(min=1)
    for row, count in enumerate(counts.tolist()):
        matched[row, price[row].topk(min(count, len(cells)), largest=False).indices] = True
    twice = matched.sum(0) > 1
    best = price.argmin(0)
    matched[:, twice] = functional.one_hot(best[twice], len(boxes)).bool().T
    matched &= near[:, cells]
    chosen = matched.any(0)
    label = matched[:, chosen].int().argmax(0)
    return cells[chosen], label, overlaps[label, chosen.nonzero().squeeze(1)]


def loss_of(maps: list[Tensor], targets: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Tensor:
    """The batch's loss per positive cell; `targets` are boxes, classes and ignored boxes as corners for each picture."""
    found, centres, strides = decode([level.float() for level in maps])
    objectness, weight = torch.zeros(found.shape[:2]), torch.ones(found.shape[:2])
    box_loss, class_loss, positives = torch.zeros(()), torch.zeros(()), 0
    for index, (corners, classes, ignored) in enumerate(targets):
        for x0, y0, x1, y1 in ignored.tolist():
            inside = (centres[:, 0] > x0) & (centres[:, 0] < x1) & (centres[:, 1] > y0) & (centres[:, 1] < y1)
            weight[index, inside] = 0
        if not len(corners):
            continue
        boxes = torch.from_numpy(np.concatenate(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), 1))
        labels = torch.from_numpy(classes)
        cells, label, overlap = assign(found[index].detach(), boxes, labels, centres, strides)
        objectness[index, cells], weight[index, cells] = 1, 1
        box_loss = box_loss + (1 - pair_iou(found[index, cells, :4], boxes[label]) ** 2).sum()
        wanted = functional.one_hot(labels[label], len(LABELS)) * overlap[:, None]
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(found[index, cells, 5:], wanted, reduction="sum")
        positives += len(cells)
    object_loss = functional.binary_cross_entropy_with_logits(found[..., 4], objectness, weight, reduction="sum")
    return (5 * box_loss + class_loss + object_loss) / max(positives, 1)


def export(detector: Detector, path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        Export(detector).eval(), torch.zeros(1, 3, height, width), str(path), dynamo=False, opset_version=17,
        input_names=["images"], output_names=["output"],
    )
    model = onnx.load(str(path))
    model.doc_string = "traffic detector; classes " + ", ".join(LABELS)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def difference(detector: Detector, path: Path) -> float:
    """The largest gap between the exported file and the network in torch on one noisy picture."""
    model = Model(path)
    pixels = torch.rand(1, 3, model.height, model.width) * 255
    with torch.no_grad():
        expected = Export(detector).eval()(pixels).numpy()
    return float(np.abs(model.session.run(None, {"images": pixels.numpy()})[0] - expected).max())


def train(detector: Detector, frames: list[Scene], options: argparse.Namespace) -> Detector:
    """Trains in place and returns the averaged weights."""
    rng = np.random.default_rng(options.seed)
    # Rare kinds come more often: a frame's weight is that of the rarest class it shows.
    totals = sum(np.bincount(scene.classes, minlength=len(LABELS)) for scene in frames)
    chance = np.array([max(totals[label] ** -0.5 for label in scene.classes) for scene in frames])
    chance /= chance.sum()
    drawings = [draw_scene(np.random.default_rng(options.seed + index)) for index in range(options.drawings)]
    averaged = torch.optim.swa_utils.AveragedModel(detector, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    bare = [parameter for parameter in detector.parameters() if parameter.ndim == 1]
    full = [parameter for parameter in detector.parameters() if parameter.ndim > 1]
    optimiser = torch.optim.AdamW([{"params": full, "weight_decay": 0.01}, {"params": bare, "weight_decay": 0.0}], lr=options.rate)
    warm = max(1, options.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, (step + 1) / warm) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / options.steps)) / 2)
    )
    detector.train()
    started, recent = time.monotonic(), []
    for step in range(options.steps):
        width, height = CANVASES[rng.integers(len(CANVASES))]
        views = []
        for _ in range(options.batch):
            drawn = rng.random() < options.drawn_share
            scene = drawings[rng.integers(len(drawings))] if drawn else frames[rng.choice(len(frames), p=chance)]
            views.append(augment(scene, width, height, rng))
        pixels = torch.from_numpy(np.stack([view[0] for view in views])).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = detector(pixels)
        loss = loss_of(maps, [view[1:] for view in views])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(detector)
        recent.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - started) / (step + 1)
            print(f"step {step + 1}: loss {np.mean(recent[-50:]):.3f}, {pace:.2f} s a step", flush=True)
    return averaged.module


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds scenes/traffic and models/yolox_nano.onnx")
    arguments.add_argument("--weights", type=Path, help="an earlier export to go on from, instead of the start weights")
    arguments.add_argument("--out", type=Path, default=Path("models/vehicles.onnx"))
    arguments.add_argument("--width", type=int, default=416, help="input size of the export, multiples of 32")
    arguments.add_argument("--height", type=int, default=416)
    arguments.add_argument("--steps", type=int, default=1500)
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    arguments.add_argument("--drawings", type=int, default=600, help="drawn scenes to train on")
    arguments.add_argument("--drawn-share", type=float, default=0.4, help="share of a batch that is drawn")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    start = options.data / "models/yolox_nano.onnx"
    detector = load_start(options.weights or start, COCO_ROWS).to(memory_format=torch.channels_last)
    frames = load_frames(options.data / "scenes/traffic")
    if options.steps:
        taught = frames[: -HELD_OUT - GAP]
        large = options.out.with_suffix(".start.onnx")
        export(load_start(start, COCO_ROWS), large, 960, 960)
        add_unlabelled(Model(large), taught)
        large.unlink()
        detector = train(detector, taught, options)
    detector = detector.to(memory_format=torch.contiguous_format)
    export(detector, options.out, options.width, options.height)
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    print(f"{options.out}: sha256 {digest}, gap to torch {difference(detector, options.out):.1e}")
    report("held-out frames", average_precision(Model(options.out), frames[-HELD_OUT:], OVERLAP))


if __name__ == "__main__":
    main()
