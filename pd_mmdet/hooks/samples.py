from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from torch.utils.data import ConcatDataset, DataLoader, Dataset


def evenly_spaced(
    dataset: Dataset, number: int, collate: Callable[[list], Any], num_workers: int
) -> DataLoader:
    """Read up to ``number`` evenly spaced items of a dataset, as batches of one item.

    The items are read in separate processes, so that the random state of the training, and the
    caches of its transforms, do not change.

    Args:
        dataset: Any dataset with a length.
        number: Largest number of items.
        collate: Makes a batch from a list with one item; runs in these processes.
        num_workers: Number of processes; at least one is used.
    """
    number = min(number, len(dataset))
    return DataLoader(
        dataset,
        sampler=[i * len(dataset) // number for i in range(number)],
        collate_fn=collate,
        num_workers=max(1, num_workers),
        generator=torch.Generator(),
    )


def transforms_of(dataset: Dataset) -> Iterator[BaseTransform]:
    """Yield the transforms of a dataset, and of the datasets inside a wrapper."""
    pipeline = getattr(dataset, 'pipeline', None) or []
    # The pipeline of MultiImageMixDataset is a list.
    yield from pipeline.transforms if isinstance(pipeline, Compose) else pipeline
    if hasattr(dataset, 'dataset'):
        yield from transforms_of(dataset.dataset)
    for inner in getattr(dataset, 'datasets', ()):
        yield from transforms_of(inner)


def first_set(dataset: Dataset) -> Dataset:
    """Return the first part of a ``ConcatDataset``; return any other dataset unchanged.

    Each part has separate metainfo and image ids.
    """
    return first_set(dataset.datasets[0]) if isinstance(dataset, ConcatDataset) else dataset
