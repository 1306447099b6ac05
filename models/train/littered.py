"""Heaps and bins cut out of photos and put into streets, as small as a street camera sees them.

The photos show what they are of from a few metres, by day. In a street it is a tenth of the picture wide, lies flat, and is in the light that is there.
Pieces of other pictures are put there in the same way without a label, so that what gives a heap away is what it shows and not its edge.
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scenes import Scene, area, covered
from tasks import WASTE

HEAP = WASTE.labels.index("garbage")
LEAST = 40  # px: the size (root of the area) from which something is worth cutting out
HEAPS, PIECES = 0.5, 0.3  # share of what is put there that is a heap, and that is nothing; the rest are bins
WIDTH = 0.06, 0.4  # of the picture's: how wide it is there
FLAT = 0.55, 1.1  # a heap's height, as a share of its own
AROUND = 0.1  # taken along on each side, as a share of its size, over which it blends into the picture
FOOT = 0.3, 1.0  # of the picture's height: where it stands
SHADE = 0.6  # how far its brightness goes towards that of the place


class HeapPaster:
    """`scenes` are labelled as `WASTE`; `streets` show none of it."""

    def __init__(self, scenes: list[Scene], streets: list[Scene]):
        labelled = [
            (scene.image, box, int(kind))
            for scene in scenes
            for box, kind in zip(scene.boxes, scene.classes, strict=True)
            if area(box[None])[0] >= LEAST**2
        ]
        self.heaps = [thing for thing in labelled if thing[2] == HEAP]
        self.bins = [thing for thing in labelled if thing[2] != HEAP]
        self.streets = streets

    def draw(self, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray, int | None]:
        """A picture, the box of something in it, and its class; none is a piece of a street."""
        share = rng.random()
        if share < PIECES:
            image = self.streets[rng.integers(len(self.streets))].image
            size = rng.uniform(0.1, 0.4, 2) * image.size
            corner = rng.uniform(0, 1, 2) * (image.size - size)
            return image, np.concatenate((corner, corner + size)), None
        things = self.heaps if share < PIECES + HEAPS else self.bins
        return things[rng.integers(len(things))]

    def paste(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """A copy of the scene with one thing more; what that hides for the most part is ignored."""
        source, box, kind = self.draw(rng)
        width, height = scene.image.size
        sides = box[2:] - box[:2]
        scale = math.exp(rng.uniform(*np.log(WIDTH))) * width / sides[0]
        scales = np.array((scale, scale * (rng.uniform(*FLAT) if kind == HEAP else 1)))
        outer = np.concatenate((box[:2] - AROUND * sides, box[2:] + AROUND * sides)).round()
        size = np.maximum(4, (outer[2:] - outer[:2]) * scales).round().astype(int)
        # Beyond the photo's edge there is nothing to take along, and nothing is put there.
        cut, inside = (
            image.crop(tuple(int(v) for v in outer)).resize(tuple(int(v) for v in size), Image.Resampling.BILINEAR, reducing_gap=2.0)
            for image in (source, Image.new("L", source.size, 255))
        )
        mask = Image.composite(soft_mask(cut.size), Image.new("L", cut.size, 0), inside)
        if rng.random() < 0.5:
            cut, mask = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        inner = sides * scales
        foot = max(rng.uniform(*FOOT) * height, min(inner[1], height))
        left, top = rng.uniform(0, max(1, width - inner[0])), foot - inner[1]
        corner = round(left - AROUND * inner[0]), round(top - AROUND * inner[1])
        here = scene.image.crop((*corner, corner[0] + cut.width, corner[1] + cut.height))
        gain = (np.asarray(here, np.float32).mean() + 8) / (np.asarray(cut, np.float32).mean() + 8)
        gain = float(np.clip(1 + SHADE * (gain - 1), 0.4, 1.6))
        image = scene.image.copy()
        image.paste(cut.point(lambda value: min(255, round(value * gain))), corner, mask)
        placed = np.array([[left, top, left + inner[0], foot]], np.float32).clip(0, (width, height) * 2)
        hidden = covered(scene.boxes, placed)[:, 0] > 0.5
        added = placed if kind is not None else placed[:0]
        return Scene(
            image,
            np.concatenate((scene.boxes[~hidden], added)),
            np.concatenate((scene.classes[~hidden], np.full(len(added), kind or 0, np.int64))),
            np.concatenate((scene.ignored, scene.boxes[hidden])),
        )


def soft_mask(size: tuple[int, int]) -> Image.Image:
    """Round corners, and an edge that fades over what was taken along."""
    mask = Image.new("L", size, 0)
    soft = AROUND / (1 + 2 * AROUND) * min(size)
    ImageDraw.Draw(mask).rounded_rectangle((soft / 2, soft / 2, size[0] - soft / 2, size[1] - soft / 2), 0.3 * min(size), 255)
    return mask.filter(ImageFilter.GaussianBlur(soft / 3))
