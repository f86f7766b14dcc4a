from collections.abc import Callable, Iterator
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from torch.utils.data import ConcatDataset, DataLoader, Dataset


def evenly_spaced(
    dataset: Dataset, number: int, collate: Callable[[list], Any], num_workers: int
) -> DataLoader:
    """Read up to ``number`` items of a dataset, one a batch, in processes of their own.

    So a training that follows does not notice: its random state, and what its transforms cache,
    are as before.

    Args:
        dataset: Any dataset with a length.
        number: How many items are read at most.
        collate: Makes a batch of a list of one item; runs in the processes.
        num_workers: How many processes; at least one is used.
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
    """The transforms of a dataset, or of those inside a wrapper."""
    pipeline = getattr(dataset, 'pipeline', None) or []
    # MultiImageMixDataset keeps a plain list.
    yield from pipeline.transforms if isinstance(pipeline, Compose) else pipeline
    if hasattr(dataset, 'dataset'):
        yield from transforms_of(dataset.dataset)
    for inner in getattr(dataset, 'datasets', ()):
        yield from transforms_of(inner)


def first_set(dataset: Dataset) -> Dataset:
    """The first of several sets put together, the whole of any other dataset.

    Sets have metainfo, and ids of images, each of its own.
    """
    return first_set(dataset.datasets[0]) if isinstance(dataset, ConcatDataset) else dataset
