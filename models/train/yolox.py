"""YOLOX-nano as plain convolutions with biases (batch norm already folded), loadable from the official ONNX export.

The activations are the export's SiLU, or ReLU after `use_relu`: a third cheaper on a CPU, and to be trained again.

The modules are declared in the order in which the network runs, so the n-th `Conv2d` here is the n-th `Conv` node of the
export: `load_start` relies on it and refuses a file whose shapes differ.

Input `[B, 3, H, W]`, BGR 0..255, H and W multiples of 32. Output of `Detector.forward`: one `[B, 5 + C, H/s, W/s]` map of logits
per stride s = 8, 16, 32: box offsets and log sizes (in strides), objectness, classes.
"""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

STRIDES = (8, 16, 32)
COCO_CLASSES = 80
FOCUS_PLANES = 12


class Conv(nn.Module):
    """Convolution, bias, SiLU; `depthwise` makes it a 3x3 depthwise one followed by a 1x1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, depthwise: bool = False):
        super().__init__()
        layers: list[nn.Module] = []
        if depthwise:
            layers += [nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs), nn.SiLU(inplace=True)]
            kernel, stride = 1, 1
        layers += [nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2), nn.SiLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.layers = nn.Sequential(Conv(channels, channels, 1), Conv(channels, channels, 3, depthwise=True))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.shortcut else self.layers(x)


class Csp(nn.Module):
    """Cross-stage partial block: half of the channels pass through `depth` bottlenecks, half go round them."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool = True):
        super().__init__()
        half = outputs // 2
        self.through, self.around = Conv(inputs, half, 1), Conv(inputs, half, 1)
        self.blocks = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(depth)))
        self.join = Conv(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        through, around = self.through(x), self.around(x)
        return self.join(torch.cat((self.blocks(through), around), 1))


class PyramidPool(nn.Module):
    """Three sizes of max pooling side by side, at stride 32."""

    def __init__(self, channels: int):
        super().__init__()
        self.enter = Conv(channels, channels // 2, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (5, 9, 13))
        self.leave = Conv(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return self.leave(torch.cat([x, *(pool(x) for pool in self.pools)], 1))


class Head(nn.Module):
    """The decoupled head of one stride."""

    def __init__(self, inputs: int, classes: int, width: int = 64):
        super().__init__()
        self.stem = Conv(inputs, width, 1)
        self.class_tower = nn.Sequential(*(Conv(width, width, 3, depthwise=True) for _ in range(2)))
        self.classes = nn.Conv2d(width, classes, 1)
        self.box_tower = nn.Sequential(*(Conv(width, width, 3, depthwise=True) for _ in range(2)))
        self.box = nn.Conv2d(width, 4, 1)
        self.objectness = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        classes = self.classes(self.class_tower(x))
        x = self.box_tower(x)
        return torch.cat((self.box(x), self.objectness(x), classes), 1)


class Detector(nn.Module):
    def __init__(self, classes: int):
        super().__init__()
        # The first convolution is the export's "focus" (2x2 pixels to 12 channels, then 3x3) folded into one 6x6 of stride 2.
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 6, 2, 2), nn.SiLU(inplace=True))
        self.dark2 = nn.Sequential(Conv(16, 32, 3, 2, depthwise=True), Csp(32, 32, 1))
        self.dark3 = nn.Sequential(Conv(32, 64, 3, 2, depthwise=True), Csp(64, 64, 3))
        self.dark4 = nn.Sequential(Conv(64, 128, 3, 2, depthwise=True), Csp(128, 128, 3))
        self.dark5 = nn.Sequential(Conv(128, 256, 3, 2, depthwise=True), PyramidPool(256), Csp(256, 256, 1, shortcut=False))
        self.reduce5, self.merge4 = Conv(256, 128, 1), Csp(256, 128, 1, shortcut=False)
        self.reduce4, self.merge3 = Conv(128, 64, 1), Csp(128, 64, 1, shortcut=False)
        self.down3, self.out4 = Conv(64, 64, 3, 2, depthwise=True), Csp(128, 128, 1, shortcut=False)
        self.down4, self.out5 = Conv(128, 128, 3, 2, depthwise=True), Csp(256, 256, 1, shortcut=False)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.heads = nn.ModuleList(Head(channels, classes) for channels in (64, 128, 256))

    def forward(self, image: Tensor) -> list[Tensor]:
        c3 = self.dark3(self.dark2(self.stem(image)))
        c4 = self.dark4(c3)
        r5 = self.reduce5(self.dark5(c4))
        r4 = self.reduce4(self.merge4(torch.cat((self.up(r5), c4), 1)))
        p3 = self.merge3(torch.cat((self.up(r4), c3), 1))
        p4 = self.out4(torch.cat((self.down3(p3), r4), 1))
        p5 = self.out5(torch.cat((self.down4(p4), r5), 1))
        return [head(level) for head, level in zip(self.heads, (p3, p4, p5), strict=True)]


class Export(nn.Module):
    """The shipped form: `[B, N, 5 + C]`, boxes as raw logits, objectness and classes through a sigmoid, strides in order."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        maps = [torch.cat((level[:, :4], level[:, 4:].sigmoid()), 1).flatten(2) for level in self.detector(images)]
        return torch.cat(maps, 2).permute(0, 2, 1)


def use_relu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.SiLU):
            setattr(module, name, nn.ReLU(inplace=True))
        else:
            use_relu(child)


def uses_relu(detector: nn.Module) -> bool:
    return any(isinstance(module, nn.ReLU) for module in detector.modules())


def load_start(path: Path, class_rows: tuple[int, ...]) -> Detector:
    """A detector with the weights of the official export, keeping the given rows of its 80 COCO classes, or of an export of ours."""
    graph = onnx.load(str(path)).graph
    arrays = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    weights = [[arrays[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    detector = Detector(len(class_rows))
    layers = [module for module in detector.modules() if isinstance(module, nn.Conv2d)]
    if len(layers) != len(weights):
        raise ValueError(f"{path}: expected {len(layers)} convolutions, found {len(weights)}")
    for layer, (weight, bias) in zip(layers, weights, strict=True):
        if weight.shape[1] == FOCUS_PLANES:
            weight = fold_focus(weight)
        elif weight.shape[0] == COCO_CLASSES:
            weight, bias = weight[list(class_rows)], bias[list(class_rows)]
        if layer.weight.shape != weight.shape:
            raise ValueError(f"{path}: expected a convolution of {tuple(layer.weight.shape)}, found {tuple(weight.shape)}")
        layer.weight.data, layer.bias.data = weight, bias
    if any(node.op_type == "Relu" for node in graph.node):
        use_relu(detector)
    return detector


def fold_focus(weight: Tensor) -> Tensor:
    """3x3 over (top-left, bottom-left, top-right, bottom-right) pixel planes `[O, 12, 3, 3]` as 6x6 over pixels `[O, 3, 6, 6]`."""
    outputs = weight.shape[0]
    planes = weight.reshape(outputs, 2, 2, 3, 3, 3)  # O, dx, dy, colour, ky, kx
    return planes.permute(0, 3, 4, 2, 5, 1).reshape(outputs, 3, 6, 6)


def decode(maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Joins the level maps: `[B, N, 5 + C]` with boxes as centre and size in pixels, cell centres `[N, 2]`, strides `[N]`."""
    joined, centres, strides = [], [], []
    for level, stride in zip(maps, STRIDES, strict=True):
        rows, columns = level.shape[2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        grid = torch.stack((x, y), 2).reshape(-1, 2).to(level.dtype)
        flat = level.flatten(2).permute(0, 2, 1)
        joined.append(torch.cat(((flat[..., :2] + grid) * stride, flat[..., 2:4].clamp(max=8).exp() * stride, flat[..., 4:]), 2))
        centres.append((grid + 0.5) * stride)
        strides.append(torch.full((len(grid),), float(stride)))
    return torch.cat(joined, 1), torch.cat(centres), torch.cat(strides)
