"""What training both plate networks shares: batches made in another process, a schedule by the clock, averaged weights, the export.

The clock decides when training ends, so that a machine that is also used for other things ends on time with fewer steps.
"""

import hashlib
import math
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn


def produce(make: Callable, seed: int, queue) -> None:
    """Runs in the other process: batch after batch until it is ended."""
    rng = np.random.default_rng(seed)
    while True:
        queue.put(make(rng))


def next_batch(queue, worker):
    """The next batch; an error when the process that makes them has died."""
    while True:
        try:
            return queue.get(timeout=5)
        except Empty:
            if not worker.is_alive():
                raise RuntimeError("the process that makes batches has died; its error is above") from None


def average(kept: Tensor, now: Tensor, count) -> Tensor:
    """An exponential average over about 300 steps, over fewer at the beginning."""
    return kept + (now - kept) * max(0.003, 5 / (10 + float(count)))


def train(network: nn.Module, make: Callable, loss_of: Callable, minutes: float, rate: float, seed: int, checkpoint: Path) -> nn.Module:
    """Trains in place for that long; `make(rng)` gives a batch, `loss_of(network, batch)` its loss. Returns the averaged weights."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue(6)
    worker = context.Process(target=produce, args=(make, seed, queue), daemon=True)
    worker.start()
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=average, use_buffers=True)
    bare = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    full = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    optimiser = torch.optim.AdamW([{"params": full, "weight_decay": 0.02}, {"params": bare, "weight_decay": 0.0}], lr=rate)
    started, step, recent, told = time.monotonic(), 0, [], 0.0
    network.train()
    while (spent := (time.monotonic() - started) / 60) < minutes:
        share = spent / minutes
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 40) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)
        batch = [torch.from_numpy(part) for part in next_batch(queue, worker)]
        loss = loss_of(network, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        step += 1
        averaged.update_parameters(network)
        recent.append(float(loss.detach()))
        if spent - told > 1:
            told = spent
            print(f"{spent:.1f} min, step {step}: loss {np.mean(recent[-200:]):.3f}", flush=True)
            torch.save(averaged.module.state_dict(), checkpoint)
    worker.terminate()
    torch.save(averaged.module.state_dict(), checkpoint)
    return averaged.module


def export(network: nn.Module, example: Tensor, path: Path, outputs: list[str], about: str) -> None:
    """Writes the ONNX file, checks it against the network, prints its size and sha256."""
    network = network.to(memory_format=torch.contiguous_format).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(network, example, str(path), dynamo=False, opset_version=17, input_names=["images"], output_names=outputs)
    model = onnx.load(str(path))
    model.doc_string = about
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    noise = torch.rand_like(example) * 255
    with torch.no_grad():
        expected = network(noise)
    first = expected if isinstance(expected, Tensor) else expected[0]
    found = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"images": noise.numpy()})[0]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest}, gap to torch {np.abs(found - first.numpy()).max():.1e}", flush=True)
