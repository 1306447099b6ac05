"""The plate finder: the trunk of YOLOX-nano (start weights: COCO) and on it a head of our own; decoding is inside the shipped graph."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from yolox import Detector

STRIDE = 8


class Finder(nn.Module):
    """One prediction a cell of 8 pixels: 13 channels, see `decode`, over what YOLOX-nano sees there and around it."""

    def __init__(self, start: Detector):
        super().__init__()
        names = ("stem", "dark2", "dark3", "dark4", "dark5", "reduce5", "merge4", "reduce4", "merge3")
        self.trunk = nn.ModuleDict({name: getattr(start, name) for name in names})
        self.head = nn.Sequential(nn.Conv2d(320, 96, 1), nn.ReLU(inplace=True), nn.Conv2d(96, 96, 1), nn.ReLU(inplace=True))
        self.last = nn.Conv2d(96, 13, 1)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)
        nn.init.constant_(self.last.bias[:1], -4.6)

    def forward(self, x: Tensor) -> Tensor:
        """BGR 0 to 255 to `[n, cells, 13]` raw values."""
        return self.judge(self.views(x)).flatten(2).transpose(1, 2)

    def judge(self, views: Tensor) -> Tensor:
        return self.last(self.head(views))

    def views(self, x: Tensor) -> Tensor:
        """320 features a cell: of its four quarters (stride 4), of itself, and of its surroundings."""
        part = self.trunk
        near = part["dark2"](part["stem"](x))
        c3 = part["dark3"](near)
        c4 = part["dark4"](c3)
        r4 = part["merge4"](torch.cat((double(part["reduce5"](part["dark5"](c4))), c4), 1))
        r4 = double(part["reduce4"](r4))
        return torch.cat((functional.pixel_unshuffle(near, 2), part["merge3"](torch.cat((r4, c3), 1)), c3, r4), 1)


def double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def centres(width: int, height: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height // STRIDE), torch.arange(width // STRIDE), indexing="ij")
    return (torch.stack((x, y), 2).reshape(-1, 2).float() + 0.5) * STRIDE


def decode(raw: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes `x0, y0, x1, y1` and corners (x, y of top left, top right, bottom right, bottom left) in pixels of the input.

    Channels: 0 score, 1-2 the box centre's shift, 3-4 the logarithm of its size, both in cells of 8 pixels, 5-12 how far each
    corner lies from the same corner of the box, in widths and heights of the box.
    """
    middle = grid + raw[..., 1:3] * STRIDE
    size = raw[..., 3:5].clamp(-4, 5).exp() * STRIDE
    low, high = middle - size / 2, middle + size / 2
    upright = torch.cat((low, high[..., :1], low[..., 1:], high, low[..., :1], high[..., 1:]), -1)
    return torch.cat((low, high), -1), upright + raw[..., 5:] * torch.cat((size,) * 4, -1)


class FinderExport(nn.Module):
    """The shipped graph: `[n, cells, 13]` of score, box, corners, all decoded."""

    def __init__(self, finder: Finder, width: int, height: int):
        super().__init__()
        self.finder = finder
        self.register_buffer("grid", centres(width, height))

    def forward(self, x: Tensor) -> Tensor:
        raw = self.finder(x)
        box, corners = decode(raw, self.grid)
        return torch.cat((raw[..., :1].sigmoid(), box, corners), -1)
