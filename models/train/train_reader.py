"""Trains what stands before the general line reader in the plate reader: a small network that tells a plate of one line from one of two, and
the layout of two lines as one, the lower half to the right of the upper. `join_reader.py` puts the two together.

Held-out groups are never read into a batch.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from plateart import draw_plate
from platephotos import Crop, Photo, load_crops, load_photos
from platereading import PLATE_HEIGHT, PLATE_WIDTH, straighten
from platescenes import Plate, corners_of, paste, turned, worse
from platetraining import train

WIDTH, HEIGHT = 320, 48  # what the line reader is given
LAP = 0  # rows of the plate on either side of the cut that both lines get
TRIM = 3  # rows, and twice as many columns, cut off around the plate: straightening leaves a margin, the line reader reads best without


class Conv(nn.Sequential):
    def __init__(self, before: int, after: int):
        super().__init__(nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class Lines(nn.Module):
    """The logit that a straightened plate has two lines."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Conv(3, 12), Conv(12, 16), Conv(16, 24))
        self.last = nn.Linear(24 * 3 * 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        """BGR 0 to 255, `[n, 3, 96, 224]`."""
        return self.last(self.body(functional.avg_pool2d(x / 64 - 2, 4)).flatten(1))


class Front(nn.Module):
    """What stands before the line reader: one line of its size, and the probability that it was two."""

    def __init__(self, lines: Lines):
        super().__init__()
        self.lines = lines

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        two = self.lines(x).sigmoid()
        x = x[:, :, TRIM : PLATE_HEIGHT - TRIM, 2 * TRIM : PLATE_WIDTH - 2 * TRIM]
        middle = x.shape[2] // 2
        halves = (x[:, :, : middle + LAP], x[:, :, middle - LAP :])
        strip = torch.cat([functional.interpolate(half, (HEIGHT, WIDTH // 2), mode="bilinear") for half in halves], 3)
        whole = functional.interpolate(x, (HEIGHT, WIDTH), mode="bilinear")
        return torch.where(two[:, :, None, None] > 0.5, strip, whole) / 127.5 - 1, two


def wrong_corners(quad: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Corners shifted together and each on its own, in shares of the plate's sides."""
    along, down = quad[1] - quad[0], quad[3] - quad[0]
    shift = rng.normal(0, share, 2) + rng.normal(0, share, (4, 2)) + rng.normal(0, share, 2) * ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return (quad + shift[:, :1] * along + shift[:, 1:] * down).astype(np.float32)


def drawn_example(art: Plate, rng: np.random.Generator) -> np.ndarray:
    """A drawn plate seen at an angle on something, small, in bad light, straightened."""
    lines = len(art.lines)
    tall = lines * np.exp(rng.uniform(np.log(7), np.log(40)))
    quad = turned(tall * art.pixels.shape[1] / art.pixels.shape[0], tall, rng)
    pad = 0.25 * tall
    quad = (quad - quad.min(0) + pad).astype(np.float32)
    size = np.ceil(quad.max(0) + pad).astype(int)
    ground = rng.uniform(0, 1, (3, 4, 3)) * rng.uniform(0, 90) + rng.uniform(0, 200)
    canvas = cv2.resize(ground.clip(0, 255).astype(np.uint8), (int(size[0]), int(size[1])), interpolation=cv2.INTER_LINEAR)
    paste(canvas, art.pixels, quad)
    canvas = worse(canvas, rng, 1 + 0.14 * tall / lines, 1.2)
    return straighten(canvas, wrong_corners(quad, 0.04, rng))


def real_examples(photos: list[Photo], crops: list[Crop]) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """Pictures and corners of real plates by their lines."""
    real: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {1: [], 2: []}
    for crop in crops:
        high, wide = crop.pixels.shape[:2]
        real[len(crop.lines)].append((crop.pixels, corners_of(np.array([[0, 0, wide, high]]))[0]))
    for photo in photos:
        for box, kind in zip(photo.boxes, photo.kinds):
            real[1 if kind == "car1line" else 2].append((photo.pixels, corners_of(box[None])[0]))
    return real


def make_batch(real: dict[int, list[tuple[np.ndarray, np.ndarray]]], plates: list[Plate], size: int):
    def make(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.empty((size, 3, PLATE_HEIGHT, PLATE_WIDTH), np.uint8)
        two = np.zeros((size, 1), np.float32)
        for index in range(size):
            if rng.random() < 0.5:
                art = plates[rng.integers(len(plates))]
                picture, lines = drawn_example(art, rng), len(art.lines)
            else:
                lines = int(rng.integers(1, 3))
                source, quad = real[lines][rng.integers(len(real[lines]))]
                picture = worse(straighten(source, wrong_corners(quad, 0.04, rng)), rng)
            pixels[index], two[index] = picture.transpose(2, 0, 1), lines - 1
        return pixels, two

    return make


def loss_of(lines: Lines, batch: list[Tensor]) -> Tensor:
    pixels, two = batch
    return functional.binary_cross_entropy_with_logits(lines(pixels.float()), two)


def export(lines: Lines, out: Path) -> None:
    torch.onnx.export(
        Front(lines).eval(),
        torch.zeros(1, 3, PLATE_HEIGHT, PLATE_WIDTH),
        str(out),
        dynamo=False,
        opset_version=17,
        input_names=["images"],
        output_names=["line", "two_lines"],
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds plates/")
    arguments.add_argument("--out", type=Path, default=Path("models/plate-lines.onnx"))
    arguments.add_argument("--weights", type=Path, help="an earlier checkpoint to go on from")
    arguments.add_argument("--checkpoint", type=Path, default=Path("plate-lines.pt"), help="not part of the repository")
    arguments.add_argument("--minutes", type=float, default=2)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # its threads would not survive the fork of the process that makes batches
    torch.manual_seed(options.seed)
    lines = Lines()
    if options.weights:
        lines.load_state_dict(torch.load(options.weights))
    if options.minutes:
        photos = [photo for photo in load_photos(options.data / "plates") if not photo.held_out]
        crops = [crop for crop in load_crops(options.data / "plates") if not crop.held_out]
        rng = np.random.default_rng(options.seed)
        plates = [draw_plate(str(rng.choice(("car1", "car2", "motorbike"), p=(0.5, 0.3, 0.2))), rng) for _ in range(400)]
        make = make_batch(real_examples(photos, crops), plates, 32)
        lines = train(
            lines,
            make,
            loss_of,
            options.minutes,
            2e-3,
            options.seed,
            options.checkpoint,
        )
    export(lines, options.out)


if __name__ == "__main__":
    main()
