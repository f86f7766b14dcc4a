"""How long calls take, in turn, so that what a noisy machine does meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from torch import nn

WARM_UP = 3


def medians(
    calls: dict[str, Callable[[int], object]], rounds: int, device: str = 'cpu'
) -> dict[str, float]:
    """Median seconds of each call, all of them in turn in each round; they get its number."""
    seconds = {name: [] for name in calls}
    for number in range(-WARM_UP, rounds):
        for name, call in calls.items():
            started = now(device)
            call(number)
            if number >= 0:
                seconds[name].append(now(device) - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def now(device: str) -> float:
    """Seconds, after the device has done what it was given."""
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()


def inference_seconds(
    models: dict[str, tuple[nn.Module, BaseDataset]],
    batch_sizes: Sequence[int],
    rounds: int,
    device: str,
) -> dict[str, dict[int, float]]:
    """Median seconds of a batch: preprocessing, network and post-processing.

    Args:
        models: A network and the dataset whose first images it reads, by name.
        batch_sizes: How many images a batch has.
        rounds: How often each is measured.
        device: Where the networks are, ``'cpu'`` or ``'cuda'``.

    Returns:
        By name and batch size.
    """
    found: dict[str, dict[int, float]] = {name: {} for name in models}
    for size in batch_sizes:
        calls = {}
        for name, (model, dataset) in models.items():
            batch = pseudo_collate([dataset[index % len(dataset)] for index in range(size)])
            calls[name] = lambda _, model=model, batch=batch: infer(model, batch)
        for name, value in medians(calls, rounds, device).items():
            found[name][size] = value
    return found


@torch.inference_mode()
def infer(model: nn.Module, batch: dict) -> None:
    """What a deployed network does with a batch of packed images."""
    model.test_step(batch)
