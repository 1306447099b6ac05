"""Fine-tunes YOLOX-nano for one of the detectors of `tasks.py`, and exports it to ONNX.

What the network sees is made by `data.py` (pictures and their parts), `scenes.py` (random views), `drawn.py` (drawn streets), `pasted.py`
(vehicles put elsewhere), `littered.py` (heaps and bins put into streets), and `swapped.py` (heads of riders put in one another's place). Only the part `train` is trained on, with
`--tune-too` also `tune`; never `test`.
"""

import argparse
import hashlib
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import torch

from data import add_unlabelled, load, street_photos, without_labels
from drawn import draw_scene
from evaluate import OVERLAP, Model, average_precision, line
from littered import HeapPaster
from loss import Target, loss_of
from pasted import Paster
from relu import with_relu
from scenes import Scene, look, to_input
from swapped import HeadSwapper
from tasks import HELMET, TASKS, VEHICLES, WASTE, Size, Task
from yolox import Detector, Export, load_start, uses_relu

PIXELS = 416 * 256  # of one of a batch's pictures; of larger ones there are fewer, of smaller ones more
FITTED = 32  # pictures on which ReLU is fitted to a start with SiLU


def export(detector: Detector, path: Path, labels: tuple[str, ...], size: Size) -> None:
    """Traced at `size`; the file takes pictures whose sides are any multiples of 32."""
    width, height = size
    torch.onnx.export(
        Export(detector).eval(), torch.zeros(1, 3, height, width), str(path), dynamo=False, opset_version=17,
        input_names=["images"], output_names=["output"],
        dynamic_axes={"images": {2: "height", 3: "width"}, "output": {1: "cells"}},
    )
    model = onnx.load(str(path))
    model.doc_string = "labels: " + ", ".join(labels)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def difference(detector: Detector, path: Path, size: Size) -> float:
    """The largest gap between the exported file and the network in torch on one noisy picture."""
    model = Model(path, size)
    pixels = torch.rand(1, 3, model.height, model.width) * 255
    with torch.no_grad():
        expected = Export(detector).eval()(pixels).numpy()
    return float(np.abs(model.session.run(None, {"images": pixels.numpy()})[0] - expected).max())


def start_model(start: Path, size: Size) -> Model:
    """The start weights at another input size, with the labels of the vehicles."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.onnx"
        export(load_start(start, VEHICLES.start_rows), path, VEHICLES.labels, size)
        return Model(path, size)


class Source:
    """Pictures to draw from; a scene's weight is that of the rarest label it shows, by the root of its frequency."""

    def __init__(self, scenes: list[Scene], task: Task, share: float, paster: Paster | HeadSwapper | HeapPaster | None = None):
        totals = sum((np.bincount(scene.classes, minlength=len(task.labels)) for scene in scenes), np.zeros(len(task.labels)))
        weights = np.array([max((totals[label] ** -0.5 for label in scene.classes), default=0.05) for scene in scenes])
        self.scenes, self.chance, self.share, self.paster = scenes, weights / weights.sum(), share, paster


def sources(task: Task, options: argparse.Namespace) -> list[Source]:
    """What is trained on, each with its share of the pictures."""
    parts = load(task, options.data)
    scenes = parts["train"] + (parts["tune"] if options.tune_too else [])
    if task is HELMET:
        return [Source(scenes, task, 1.0, HeadSwapper(scenes))]
    drawings = [draw_scene(np.random.default_rng(options.seed + index)) for index in range(options.drawings)]
    if task is WASTE:
        streets = [without_labels(street) for street in load(VEHICLES, options.data)["train"] + drawings] + street_photos(options.data)
        return [Source(scenes, task, 0.6), Source(streets, task, 0.4, HeapPaster(scenes, streets))]
    start = options.data / "models/yolox_nano.onnx"
    add_unlabelled(start_model(start, (960, 960)), scenes, sure=0.5, ignore=0.25, taught=("person",))
    photos = street_photos(options.data)
    add_unlabelled(start_model(start, (640, 640)), photos, sure=0.5, ignore=0.15, taught=task.labels)
    return [
        Source(scenes, task, 0.65, Paster(scenes)),
        Source([photo for photo in photos if len(photo.boxes)], task, 0.2),
        Source(drawings, task, 0.15),
    ]


def batch_of(given: list[Source], task: Task, size: Size, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[Target]]:
    """Random pictures `[count, 3, H, W]`, and what is to be found in each."""
    views = []
    for _ in range(count):
        source = given[rng.choice(len(given), p=[source.share for source in given])]
        scenes, chance = source.scenes, source.chance
        if source.paster and rng.random() < 0.5:
            scene = scenes[rng.choice(len(scenes), p=chance)]
            for _ in range(rng.integers(1, 4)):
                scene = source.paster.paste(scene, rng)
            scenes, chance = [scene], np.ones(1)
        views.append(look(scenes, chance, task, size, rng))
    return torch.from_numpy(np.stack([to_input(view[0]) for view in views])), [view[1:] for view in views]


def train(detector: Detector, task: Task, given: list[Source], options: argparse.Namespace) -> Detector:
    """Trains in place and returns the averaged weights."""
    rng = np.random.default_rng(options.seed)
    averaged = torch.optim.swa_utils.AveragedModel(
        detector, avg_fn=lambda mean, new, count: mean + (new - mean) * max(0.005, 9 / (10 + count))
    )
    for stage in (detector.stem, detector.dark2, detector.dark3) if options.frozen else ():
        stage.requires_grad_(False)
    trained = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    bare, full = [item for item in trained if item.ndim == 1], [item for item in trained if item.ndim > 1]
    optimiser = torch.optim.AdamW([{"params": full, "weight_decay": 0.01}, {"params": bare, "weight_decay": 0.0}], lr=options.rate)
    detector.train()
    # CPU time, because a busy machine may hold this process back for long.
    started, recent, step, done = time.process_time(), [], 0, 0.0
    while done < 1:
        done = max((step + 1) / options.steps, (time.process_time() - started) / 60 / options.minutes)
        pace = min(1, (step + 1) / 40) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1, done))) / 2)
        for group in optimiser.param_groups:
            group["lr"] = options.rate * pace
        size = task.canvases[rng.integers(len(task.canvases))]
        pixels, targets = batch_of(given, task, size, max(1, options.batch * PIXELS // (size[0] * size[1])), rng)
        with torch.autocast("cpu", torch.bfloat16):
            maps = detector(pixels.to(memory_format=torch.channels_last))
        loss = loss_of(maps, targets)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimiser.step()
        averaged.update_parameters(detector)
        recent.append(float(loss.detach()))
        step += 1
        if step % 25 == 0:
            minutes = (time.process_time() - started) / 60
            print(f"step {step}, {100 * done:.0f} % after {minutes:.1f} CPU-min: loss {np.mean(recent[-25:]):.3f}", flush=True)
            if options.keep:
                torch.save(averaged.module.state_dict(), options.keep)
    return averaged.module


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("task", choices=TASKS)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds scenes/ and models/yolox_nano.onnx")
    arguments.add_argument("--weights", type=Path, help="an earlier export to go on from, instead of the start weights")
    arguments.add_argument("--out", type=Path, default=Path("models"), help="the folder of the exports")
    arguments.add_argument("--steps", type=int, default=1500, help="0 only exports")
    arguments.add_argument("--minutes", type=float, default=math.inf, help="of CPU time: end after so long, if the steps take longer")
    arguments.add_argument("--batch", type=int, default=16, help="pictures of 416x256 in a step; of others as many as have the same pixels")
    arguments.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    arguments.add_argument("--drawings", type=int, default=300, help="drawn scenes to train on (vehicles, waste)")
    arguments.add_argument("--tune-too", action="store_true", help="train on the part on which thresholds were chosen before")
    arguments.add_argument("--frozen", action="store_true", help="leave the first stages as they are: a step costs less than half")
    arguments.add_argument("--relu", action="store_true", help="train with ReLU in place of SiLU: cheaper to run, must be trained longer")
    arguments.add_argument("--keep", type=Path, help="where to save the averaged weights every 25 steps")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    task = TASKS[options.task]
    detector = load_start(options.weights or options.data / "models/yolox_nano.onnx", task.start_rows)
    if options.steps:
        given = sources(task, options)
        if options.relu and not uses_relu(detector):
            pixels, _ = batch_of(given, task, task.canvases[0], FITTED, np.random.default_rng(options.seed))
            detector = with_relu(detector, pixels, torch.Generator().manual_seed(options.seed))
        detector = train(detector.to(memory_format=torch.channels_last), task, given, options)
    detector = detector.to(memory_format=torch.contiguous_format)
    options.out.mkdir(parents=True, exist_ok=True)
    for file, size in task.files.items():
        path = options.out / f"{file}.onnx"
        export(detector, path, task.labels, size)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path}: sha256 {digest}, gap to torch {difference(detector, path, size):.1e}")
    parts = load(task, options.data)
    for part in ("tune", "test"):
        print(part, line(average_precision(Model(path, size), parts[part], task.labels, OVERLAP)))


if __name__ == "__main__":
    main()
