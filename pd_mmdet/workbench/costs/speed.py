"""Measure times of calls in turn, so that noise of the machine affects all of them alike."""

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
    """Measure the median seconds of each call.

    Args:
        calls: Name → function, which takes the number of the round. All are called in each round.
        rounds: Number of rounds.
        device: ``'cpu'`` or ``'cuda'``.
    """
    seconds = {name: [] for name in calls}
    for number in range(-WARM_UP, rounds):
        for name, call in calls.items():
            started = now(device)
            call(number)
            if number >= 0:
                seconds[name].append(now(device) - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def now(device: str) -> float:
    """Return the time in seconds, after the device has finished its work."""
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()


def inference_seconds(
    models: dict[str, tuple[nn.Module, BaseDataset]],
    batch_sizes: Sequence[int],
    rounds: int,
    device: str,
) -> dict[str, dict[int, float]]:
    """Measure the median seconds of a batch: preprocessing, network and post-processing.

    Args:
        models: Name → network, and the dataset whose first images it reads.
        batch_sizes: Numbers of images in a batch.
        rounds: Number of measurements.
        device: Device of the networks, ``'cpu'`` or ``'cuda'``.

    Returns:
        Name → batch size → seconds.
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
    """Let a deployed network predict for a batch of packed images."""
    model.test_step(batch)
