"""Trains the plate finder on photos, streets with drawn plates, and mosaics of both, and exports it as ONNX. Two rounds, each on its own:

`--prepare FILE` composes pictures and writes what the trunk of YOLOX-nano, as its authors trained it, sees in each cell; `--features FILE`
fits the head to that, in seconds of computing. `--minutes M` then trains trunk and head together on new pictures.

Cells near a plate's centre are taught to find it. Their score is taught to grow with the overlap of their box with the label (quality
focal loss, arXiv:2006.04388), so that at the overlap from which a box counts as right it is a half; boxes by generalised IoU
(arXiv:1902.09630), corners as far as they are known. Held-out photos are never read into a batch.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from platenet import Finder, FinderExport, centres, decode
from platephotos import load_photos
from platereading import Finder as Earlier
from platescenes import HEIGHT, SMALLEST, WIDTH, Composer, View, bounds, draw_plates, load_backgrounds, mark_plates, photo_sources
from platetraining import export, train
from yolox import load_start

SMALL = (256, 160)  # the first round's pictures for the most part: the same scale, a quarter of the cells
MISS, GOOD = 0.2, 0.8  # overlaps from which the score is taught to be more than 0, and 1: boxes of small plates are never better than that
EMPTY = 0.12  # share of the cells without a plate that the first round keeps


def targets(view: View) -> tuple[np.ndarray, np.ndarray]:
    """For each cell the index of its plate (-1 none) and whether it takes part (plates too small, and the rings around centres, do not)."""
    grid = centres(view.pixels.shape[1], view.pixels.shape[0]).numpy()
    owner, weight = np.full(len(grid), -1, np.int64), np.ones(len(grid), np.float32)
    boxes = bounds(view.quads) if len(view.quads) else np.zeros((0, 4), np.float32)
    for index in np.argsort(-(boxes[:, 2] - boxes[:, 0])):
        box = boxes[index]
        middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        away = np.abs(grid - middle)
        core = (away <= np.clip(size / 4, 4.01, 14)).all(1)
        weight[(away <= np.maximum(size / 2, 8)).all(1) & ~core & (owner < 0)] = 0
        if size.min() < SMALLEST:
            weight[core] = 0
        else:
            owner[core], weight[core] = index, 1
    return owner, weight


def make_batch(composer: Composer, size: int, width: int, height: int):
    def make(rng: np.random.Generator):
        views = [composer.view(rng, width, height) for _ in range(size)]
        pairs = [targets(view) for view in views]
        quads = [view.quads[owner[owner >= 0]] for view, (owner, _) in zip(views, pairs)]
        known = [view.known[owner[owner >= 0]] for view, (owner, _) in zip(views, pairs)]
        pixels = np.stack([view.pixels for view in views]).transpose(0, 3, 1, 2)
        owners, weights = (np.stack(part) for part in zip(*pairs))
        return np.ascontiguousarray(pixels), owners >= 0, weights, np.concatenate(quads), np.concatenate(known)

    return make


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of pairs of boxes."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    both = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    iou = shared / both.clamp(min=1e-6)
    return iou, iou - (hull - both) / hull.clamp(min=1e-6)


def loss_of_cells(raw: Tensor, grid: Tensor, positive: Tensor, weight: Tensor, quads: Tensor, known: Tensor) -> Tensor:
    """Of cells in any order: `raw [n, 13]`, their centres, whether they find a plate, their weights; the plates of the positive ones."""
    boxes, corners = decode(raw[positive], grid[positive])
    true = torch.cat((quads.amin(1), quads.amax(1)), 1)
    iou, general = overlap(boxes, true)
    wanted = torch.zeros(len(raw))
    wanted[positive] = ((iou.detach() - MISS) / (GOOD - MISS)).clamp(0, 1)
    score = raw[:, 0]
    focus = (wanted - score.sigmoid()).abs() ** 2
    found = (functional.binary_cross_entropy_with_logits(score, wanted, reduction="none") * focus * weight).sum()
    side = (true[:, 2:] - true[:, :2]).repeat(1, 4)
    off = functional.smooth_l1_loss(corners / side, quads.flatten(1) / side, beta=0.05, reduction="none").mean(1)
    count = max(int(positive.sum()), 1)
    return found / count * 2 + (1 - general).sum() / count * 2 + (off * known).sum() / known.sum().clamp(min=1) * 6


def loss_of(finder: Finder, batch) -> Tensor:
    pixels, positive, weight, quads, known = batch
    with torch.autocast("cpu", torch.bfloat16):
        raw = finder(pixels.float().to(memory_format=torch.channels_last)).float()
    grid = centres(pixels.shape[3], pixels.shape[2]).expand(len(raw), -1, -1)
    return loss_of_cells(raw.flatten(0, 1), grid.flatten(0, 1), positive.flatten(), weight.flatten(), quads, known)


def prepare(finder: Finder, composer: Composer, count: int, path: Path, seed: int) -> None:
    """Writes the features of cells: all that find a plate, and some that do not."""
    rng = np.random.default_rng(seed)
    parts: list[list[Tensor]] = []
    done = 0
    while done < count:
        size = SMALL if rng.random() < 0.8 else (WIDTH, HEIGHT)
        pixels, positive, weight, quads, known = (torch.from_numpy(part) for part in make_batch(composer, 8, *size)(rng))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            views = finder.views(pixels.float().to(memory_format=torch.channels_last))
        views = views.permute(0, 2, 3, 1).reshape(-1, views.shape[1])
        positive, weight = positive.flatten(), weight.flatten()
        kept = positive | (torch.from_numpy(rng.random(len(positive)) < EMPTY) & (weight > 0))
        every, each = torch.zeros(len(positive), 4, 2), torch.zeros(len(positive))
        every[positive], each[positive] = quads, known
        grid = centres(*size).repeat(8, 1)
        parts.append([views[kept].half(), grid[kept], positive[kept], weight[kept], every[kept], each[kept]])
        done += 8
    whole = [torch.cat(part) for part in zip(*parts)]
    print(f"{path}: {len(whole[0])} cells, {int(whole[2].sum())} of them with a plate, from {done} pictures", flush=True)
    torch.save(whole, path)


def fit(finder: Finder, path: Path, epochs: int, rate: float, checkpoint: Path) -> None:
    """Fits the head to prepared cells; those that mislead it most count most, by the loss."""
    views, grid, positive, weight, quads, known = torch.load(path)
    weight = torch.where(positive, weight, weight / EMPTY)
    part = torch.nn.ModuleList((finder.head, finder.last))
    optimiser = torch.optim.AdamW(part.parameters(), lr=rate, weight_decay=0.02)
    batch = min(2048, len(views))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * (len(views) // batch), pct_start=0.1)
    for epoch in range(epochs):
        order, total = torch.randperm(len(views)), 0.0
        for start in range(0, len(views) - batch + 1, batch):
            chosen = order[start : start + batch]
            with torch.autocast("cpu", torch.bfloat16):
                raw = finder.judge(views[chosen].float()[:, :, None, None])[:, :, 0, 0].float()
            found = positive[chosen]
            loss = loss_of_cells(raw, grid[chosen], found, weight[chosen], quads[chosen][found], known[chosen][found])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        torch.save(finder.state_dict(), checkpoint)
        print(f"epoch {epoch + 1}: loss {total / (len(views) // batch):.3f}", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds plates/ and scenes/")
    arguments.add_argument("--out", type=Path, default=Path("models/plates.onnx"))
    arguments.add_argument("--weights", type=Path, help="an earlier checkpoint to go on from")
    arguments.add_argument("--finder", type=Path, help="an earlier export: what it finds on the vehicles of the streets is labelled or smeared")
    arguments.add_argument("--checkpoint", type=Path, default=Path("plates.pt"), help="written every minute; not part of the repository")
    arguments.add_argument("--prepare", type=Path, help="write the trunk's features of composed pictures to this file, and nothing else")
    arguments.add_argument("--pictures", type=int, default=2000, help="pictures to prepare")
    arguments.add_argument("--features", type=Path, help="fit the head to this file first")
    arguments.add_argument("--epochs", type=int, default=20, help="of that")
    arguments.add_argument("--minutes", type=float, default=30, help="training of trunk and head together; 0: none")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    arguments.add_argument("--plates", type=int, default=2500, help="drawn plates")
    arguments.add_argument("--drawings", type=int, default=150, help="drawn streets")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(0)  # its threads would not survive the fork of the process that makes batches
    torch.manual_seed(options.seed)
    finder = Finder(load_start(options.data / "models/yolox_nano.onnx", [0])).to(memory_format=torch.channels_last)
    if options.weights:
        finder.load_state_dict(torch.load(options.weights))
    if options.features:
        fit(finder, options.features, options.epochs, options.rate, options.checkpoint)
    if options.minutes or options.prepare:
        photos = [photo for photo in load_photos(options.data / "plates") if not photo.held_out]
        # Streets, army and embassy cars: fewer than a tenth of the photos, and most like what a street camera sees.
        rare = [photo for photo in photos if not photo.name.startswith(("CarLongPlate", "xemay")) or photo.name.startswith("xemayBig")]
        backgrounds = load_backgrounds(options.data / "scenes", options.drawings)
        if options.finder:
            earlier = Earlier(options.finder)
            backgrounds = [mark_plates(source, earlier) for source in backgrounds]
        composer = Composer(photo_sources(photos + rare * 6), backgrounds, draw_plates(options.plates, options.seed))
        marked = sum(len(source.quads) for source in backgrounds)
        print(f"{len(photos)} photos, {len(rare)} of them rare, {len(backgrounds)} backgrounds, {marked} plates marked there", flush=True)
        if options.prepare:
            prepare(finder, composer, options.pictures, options.prepare, options.seed)
            return
        make = make_batch(composer, options.batch, WIDTH, HEIGHT)
        finder = train(finder, make, loss_of, options.minutes, options.rate, options.seed, options.checkpoint)
    example = torch.zeros(1, 3, HEIGHT, WIDTH)
    export(FinderExport(finder, WIDTH, HEIGHT), example, options.out, ["plates"], "plate finder")


if __name__ == "__main__":
    main()
