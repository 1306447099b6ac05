"""Heads of riders put in one another's place.

The photos are few, and in them who wears no helmet rides a scooter in a city, who wears one a bicycle in a wood. With another head on the same
shoulders the head alone tells which it is.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scenes import Scene, area, covered

LEAST = 20  # px: the size (root of the area) from which a head is worth cutting out
AROUND = 0.12  # taken along on each side, as a share of the head, over which it blends into the picture
SIZE = 0.85, 1.15  # of the new head, as a share of the old one's
SHADE = 0.5  # how far the new head's brightness goes towards the old one's


class HeadSwapper:
    def __init__(self, scenes: list[Scene]):
        self.heads = [
            (scene, box, kind)
            for scene in scenes
            for box, kind in zip(scene.boxes, scene.classes, strict=True)
            if area(box[None])[0] >= LEAST**2
        ]

    def paste(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """A copy of the scene in which one head is another's, of either kind alike."""
        if not len(scene.boxes):
            return scene
        index = rng.integers(len(scene.boxes))
        old = scene.boxes[index]
        wanted = rng.integers(2)
        of_kind = [head for head in self.heads if head[2] == wanted]
        source, box, kind = of_kind[rng.integers(len(of_kind))]
        outer = np.concatenate((box[:2] - AROUND * (box[2:] - box[:2]), box[2:] + AROUND * (box[2:] - box[:2])))
        scale = float(np.sqrt(area(old[None])[0] / area(box[None])[0])) * rng.uniform(*SIZE)
        size = np.maximum(4, (outer[2:] - outer[:2]) * scale).round().astype(int)
        # Beyond the photo's edge there is nothing to take along, and nothing is put there.
        whole = Image.new("L", source.image.size, 255)
        cut, inside = (
            image.crop(tuple(int(v) for v in outer.round())).resize(tuple(int(v) for v in size), Image.Resampling.BILINEAR, reducing_gap=2.0)
            for image in (source.image, whole)
        )
        mask = Image.new("L", cut.size, 0)
        soft = AROUND / (1 + 2 * AROUND) * min(cut.size)
        ImageDraw.Draw(mask).ellipse((soft / 2, soft / 2, cut.width - soft / 2, cut.height - soft / 2), fill=255)
        mask = Image.composite(mask.filter(ImageFilter.GaussianBlur(soft / 3)), Image.new("L", cut.size, 0), inside)
        if rng.random() < 0.5:
            cut, mask = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        here = scene.image.crop(tuple(int(v) for v in old.round()))
        gain = (np.asarray(here, np.float32).mean() + 8) / (np.asarray(cut, np.float32).mean() + 8)
        gain = float(np.clip(1 + SHADE * (gain - 1), 0.5, 1.6))
        cut = cut.point(lambda value: min(255, round(value * gain)))
        # The chin stays where it was: what is under it are the shoulders.
        inner = (box[2:] - box[:2]) * scale
        left, bottom = (old[0] + old[2] - inner[0]) / 2, old[3]
        image = scene.image.copy()
        image.paste(cut, (round(left - AROUND * inner[0]), round(bottom - (1 + AROUND) * inner[1])), mask)
        width, height = scene.image.size
        placed = np.array([[left, bottom - inner[1], left + inner[0], bottom]], np.float32).clip(0, (width, height) * 2)
        others = np.arange(len(scene.boxes)) != index
        hidden = others & (covered(scene.boxes, placed)[:, 0] > 0.5)
        kept = others & ~hidden
        return Scene(
            image,
            np.concatenate((scene.boxes[kept], placed)),
            np.concatenate((scene.classes[kept], [kind])),
            np.concatenate((scene.ignored, scene.boxes[hidden])),
        )
