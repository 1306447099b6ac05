"""YOLOX's loss: SimOTA chooses the cells of each label, then IoU, class, and objectness losses (Ge et al. 2021, section 2.1).

Where something is that nobody labelled, "nothing here" is taught with a small weight only.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from yolox import decode

UNSURE = 0.1  # weight of the objectness in ignored places: enough to rank them below what people do label
Target = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes as corners, classes, ignored boxes


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
    wanted = functional.one_hot(classes, found.shape[1] - 5).float()
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


def loss_of(maps: list[Tensor], targets: list[Target]) -> Tensor:
    """The batch's loss per positive cell."""
    found, centres, strides = decode([level.float() for level in maps])
    objectness, weight = torch.zeros(found.shape[:2]), torch.ones(found.shape[:2])
    box_loss, class_loss, positives = torch.zeros(()), torch.zeros(()), 0
    for index, (corners, classes, ignored) in enumerate(targets):
        for x0, y0, x1, y1 in ignored.tolist():
            inside = (centres[:, 0] > x0) & (centres[:, 0] < x1) & (centres[:, 1] > y0) & (centres[:, 1] < y1)
            weight[index, inside] = UNSURE
        if not len(corners):
            continue
        boxes = torch.from_numpy(np.concatenate(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), 1))
        labels = torch.from_numpy(classes)
        cells, label, overlap = assign(found[index].detach(), boxes, labels, centres, strides)
        objectness[index, cells], weight[index, cells] = 1, 1
        box_loss = box_loss + (1 - pair_iou(found[index, cells, :4], boxes[label]) ** 2).sum()
        wanted = functional.one_hot(labels[label], found.shape[2] - 5) * overlap[:, None]
        class_loss = class_loss + functional.binary_cross_entropy_with_logits(found[index, cells, 5:], wanted, reduction="sum")
        positives += len(cells)
    object_loss = functional.binary_cross_entropy_with_logits(found[..., 4], objectness, weight, reduction="sum")
    return (5 * box_loss + class_loss + object_loss) / max(positives, 1)
