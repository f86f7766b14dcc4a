"""Measure the memory that inference takes."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from ..stages.evaluate import build_dataset, build_model
from .speed import infer

MEGABYTE = 2**20


def peak_memory(cfg: Config, device: str) -> float | None:
    """Measure the peak memory of inference on the first image, in MB, without the weights.

    On a GPU this is what torch allocates; on a CPU, what a new process holds above what it held
    before, as Linux counts it.

    Returns:
        None if the system does not count it.
    """
    # A used process would have free memory left over. A server that has only imported the package
    # forks processes without it, and without the time of the imports.
    context = get_context('forkserver')
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak, cfg.to_dict(), device).result()


def _peak(cfg: dict, device: str) -> float | None:
    import pd_mmdet  # noqa: F401  registers what configs name

    cfg = Config(cfg)
    model, dataset = build_model(cfg).to(device), build_dataset(cfg)
    batch = pseudo_collate([dataset[0]])
    if device == 'cuda':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        infer(model, batch)
        return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
    before = _resident('VmRSS')
    infer(model, batch)
    after = _resident('VmHWM')
    return None if before is None else max(0.0, after - before)


def _resident(entry: str) -> float | None:
    """Return memory of this process in MB: ``VmRSS``, the present, or ``VmHWM``, the peak."""
    status = Path('/proc/self/status')
    found = re.search(rf'{entry}:\s+(\d+) kB', status.read_text()) if status.is_file() else None
    return found and int(found[1]) / 1024
