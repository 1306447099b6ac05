"""Buses, trucks, and cars cut out of the junction's frames and put into others.

The frames hold few buses and trucks, and few moments: what is large and at the right is a bus in all of them. So cars are put there too.
The camera stands still, so a cut-out goes near the place where it was seen, smaller farther up, with the piece of road around it.
"""

import numpy as np
from PIL import Image, ImageFilter

from scenes import Scene, covered
from tasks import VEHICLES

CUT = tuple(VEHICLES.labels.index(label) for label in ("bus", "truck", "car"))
CHANCE = (0.25, 0.25, 0.5)  # of each of these
REACH = (0.12, 0.12, 0.35)  # how far each moves up or down the picture, of its height
LEAST = 24  # px: the width from which a vehicle is worth cutting out
HORIZON = 0.08  # of the height: where the junction's road would vanish
MARGIN, SOFT = 0.05, 3  # road taken along, as a share of the box; px over which it blends into the frame


class Paster:
    def __init__(self, scenes: list[Scene]):
        self.cuts: dict[int, list[tuple[Scene, np.ndarray]]] = {kind: [] for kind in CUT}
        for scene in scenes:
            for box, kind in zip(scene.boxes, scene.classes, strict=True):
                if kind in CUT and box[2] - box[0] >= LEAST:
                    self.cuts[int(kind)].append((scene, box))

    def paste(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """A copy of the scene with one more vehicle; what that hides for the most part is ignored."""
        chosen = rng.choice(len(CUT), p=CHANCE)
        kind, reach = CUT[chosen], REACH[chosen]
        source, box = self.cuts[kind][rng.integers(len(self.cuts[kind]))]
        width, height = scene.image.size
        grow = MARGIN * (box[2:] - box[:2])
        outer = np.concatenate((box[:2] - grow, box[2:] + grow)).clip(0, (width, height) * 2).round()
        horizon = HORIZON * height
        foot = np.clip(box[3] + rng.uniform(-reach, reach) * height, horizon + 0.1 * height, height)
        scale = (foot - horizon) / (box[3] - horizon)
        size = np.maximum(4, (outer[2:] - outer[:2]) * scale).round().astype(int)
        cut = source.image.crop(tuple(int(v) for v in outer)).resize(tuple(int(v) for v in size), Image.Resampling.BILINEAR)
        inner = (box - np.tile(outer[:2], 2)) * scale
        if rng.random() < 0.5:
            cut, inner = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), np.array([size[0] - inner[2], inner[1], size[0] - inner[0], inner[3]])
        if rng.random() < 0.4:  # another livery
            bands = cut.split()
            cut = Image.merge("RGB", [bands[band] for band in rng.permutation(3)])
        left = round(outer[0] * 0.5 + 0.5 * (outer[2] - size[0]) + rng.uniform(-0.25, 0.25) * width)
        top = round(foot - inner[3])
        mask = Image.new("L", cut.size, 0)
        mask.paste(255, (SOFT, SOFT, max(SOFT + 1, cut.width - SOFT), max(SOFT + 1, cut.height - SOFT)))
        image = scene.image.copy()
        image.paste(cut, (left, top), mask.filter(ImageFilter.GaussianBlur(SOFT / 2)))
        placed = (inner + np.array([left, top, left, top])).clip(0, (width, height) * 2).astype(np.float32)[None]
        hidden = covered(scene.boxes, placed)[:, 0] > 0.5
        return Scene(
            image,
            np.concatenate((scene.boxes[~hidden], placed)),
            np.concatenate((scene.classes[~hidden], [kind])),
            np.concatenate((scene.ignored, scene.boxes[hidden])),
        )
