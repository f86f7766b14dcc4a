"""The sets on which a config validates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

REPEATING = ('RepeatDataset', 'ClassBalancedDataset')
"""Wrappers that only say how often an image comes: each is judged once."""


def validation_sets(cfg: Config) -> dict[str, dict]:
    """The config of each validation set by its name, which is ``''`` where there is only one.

    A ``ConcatDataset`` has several. Their names are the ``dataset_prefixes`` of a
    ``MultiDatasetsEvaluator``, else the names of their annotation files, else, where these do not
    tell them apart, numbers from 1 on.
    """
    sets = list(_inside(cfg.val_dataloader.dataset))
    if len(sets) == 1:
        return {'': sets[0]}
    files = [Path(one.get('ann_file') or '').stem for one in sets]
    numbers = [str(number) for number in range(1, len(sets) + 1)]
    distinct = (
        names
        for names in (_prefixes(cfg), files, numbers)
        if len({*names} - {''}) == len(names) == len(sets)
    )
    return dict(zip(next(distinct), sets))


def _inside(dataset: dict) -> Iterator[dict]:
    if 'datasets' in dataset:
        for inner in dataset['datasets']:
            yield from _inside(inner)
    elif type_name(dataset) in REPEATING:
        yield from _inside(dataset['dataset'])
    else:
        yield dataset


def pipeline_of(dataset: dict) -> list[dict]:
    """The pipeline of a set, or of what is inside its wrappers."""
    while 'pipeline' not in dataset:
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    return dataset['pipeline']


def given_metrics(cfg: Config) -> list[dict]:
    """The configs of the metrics of ``val_evaluator``, however it lists them."""
    evaluator = cfg.val_evaluator
    metrics = evaluator.get('metrics', evaluator) if isinstance(evaluator, dict) else evaluator
    return [metrics] if isinstance(metrics, dict) else list(metrics)


def metric_of_each(cfg: Config) -> list[dict]:
    """The metrics of a ``MultiDatasetsEvaluator``, one for each set; none of other evaluators."""
    metrics = given_metrics(cfg)
    fits = len(metrics) == len(_prefixes(cfg)) == len(validation_sets(cfg))
    return metrics if fits else []


def _prefixes(cfg: Config) -> list[str]:
    evaluator = cfg.get('val_evaluator')
    return list(evaluator.get('dataset_prefixes', ())) if isinstance(evaluator, dict) else []


def type_name(part: dict) -> str:
    """The name of a class that a config names, with its scope or without, or has itself."""
    kind = part['type']
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]
