"""The sets on which a config validates, and their metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from ..pixel_options import type_name

REPEATING = ('RepeatDataset', 'ClassBalancedDataset')
"""Wrappers that only repeat images: each image is evaluated once."""


def validation_sets(cfg: Config) -> dict[str, dict]:
    """Return the config of each validation set by name; the name is ``''`` if there is only one.

    A ``ConcatDataset`` has several. Their names are the ``dataset_prefixes`` of a
    ``MultiDatasetsEvaluator``; without these, the names of their annotation files, if they are all
    different; otherwise 1, 2, 3 and so on.
    """
    sets = list(_without_wrappers(cfg.val_dataloader.dataset))
    if len(sets) == 1:
        return {'': sets[0]}
    files = [Path(dataset.get('ann_file') or '').stem for dataset in sets]
    numbers = [str(number) for number in range(1, len(sets) + 1)]
    distinct = (
        names
        for names in (_prefixes(cfg), files, numbers)
        if len({*names} - {''}) == len(names) == len(sets)
    )
    return dict(zip(next(distinct), sets))


def _without_wrappers(dataset: dict) -> Iterator[dict]:
    """Yield the sets of a concatenation, without wrappers that only repeat images."""
    if 'datasets' in dataset:
        for inner in dataset['datasets']:
            yield from _without_wrappers(inner)
    elif type_name(dataset) in REPEATING:
        yield from _without_wrappers(dataset['dataset'])
    else:
        yield dataset


def pipeline_of(dataset: dict) -> list[dict]:
    """Return the pipeline of a dataset, or that of the first one inside of its wrappers."""
    while 'pipeline' not in dataset:
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    return dataset['pipeline']


def all_metrics(cfg: Config) -> list[dict]:
    """List the configs of the metrics of ``val_evaluator``, which may be one dict."""
    evaluator = cfg.val_evaluator
    metrics = evaluator.get('metrics', evaluator) if isinstance(evaluator, dict) else evaluator
    return [metrics] if isinstance(metrics, dict) else list(metrics)


def metric_of_each_set(cfg: Config) -> list[dict]:
    """List the metrics of a ``MultiDatasetsEvaluator``, one a set; [] for other evaluators."""
    metrics = all_metrics(cfg)
    fits = len(metrics) == len(_prefixes(cfg)) == len(validation_sets(cfg))
    return metrics if fits else []


def _prefixes(cfg: Config) -> list[str]:
    evaluator = cfg.get('val_evaluator')
    return list(evaluator.get('dataset_prefixes', ())) if isinstance(evaluator, dict) else []
