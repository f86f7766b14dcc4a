import pytest
from mmengine.config import Config

from pd_mmdet.workbench.validation_sets import (
    all_metrics,
    metric_of_each_set,
    pipeline_of,
    validation_sets,
)

PIPELINE = [dict(type='LoadImageFromFile')]


def of(name: str) -> dict:
    return dict(type='CocoDataset', ann_file=f'annotations/{name}.json', pipeline=PIPELINE)


def concatenated(*datasets: dict) -> dict:
    return dict(type='ConcatDataset', datasets=list(datasets))


def wrapped(wrapper: str, dataset: dict) -> dict:
    return dict(type=wrapper, dataset=dataset)


def config(dataset: dict, evaluator: dict | list | None = None) -> Config:
    return Config(dict(val_dataloader=dict(dataset=dataset), val_evaluator=evaluator))


def of_each(*prefixes: str) -> dict:
    metrics = [dict(type='CocoMetric', ann_file=f'{name}.json') for name in prefixes]
    return dict(type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=list(prefixes))


DAY, NIGHT = of('day'), of('night')
REPEATED = [
    wrapped('RepeatDataset', DAY),
    wrapped('ClassBalancedDataset', wrapped('mmengine.RepeatDataset', DAY)),
    concatenated(DAY),
]


@pytest.mark.parametrize('dataset', [DAY, *REPEATED])
def test_one_set_has_no_name(dataset):
    assert validation_sets(config(dataset)) == {'': DAY}


def test_sets_are_called_as_mmdetection_calls_them():
    cfg = config(concatenated(DAY, NIGHT), of_each('sun', 'moon'))
    assert validation_sets(cfg) == dict(sun=DAY, moon=NIGHT)
    assert [one.ann_file for one in metric_of_each_set(cfg)] == ['sun.json', 'moon.json']


@pytest.mark.parametrize(
    'datasets, names',
    [
        ((DAY, NIGHT), ['day', 'night']),
        ((DAY, DAY), ['1', '2']),
        ((DAY, dict(NIGHT, ann_file='')), ['1', '2']),
        ((DAY, concatenated(NIGHT, of('dusk'))), ['day', 'night', 'dusk']),
        ((DAY, wrapped('RepeatDataset', concatenated(NIGHT))), ['day', 'night']),
    ],
)
def test_else_by_their_files_or_numbers(datasets, names):
    """The last evaluator is not of these sets: it has four."""
    for evaluator in (None, dict(type='CocoMetric'), of_each('1st', '2nd', '3rd', '4th')):
        cfg = config(concatenated(*datasets), evaluator)
        assert list(validation_sets(cfg)) == names
    assert metric_of_each_set(cfg) == []


def test_what_chooses_images_or_has_a_pipeline_stays():
    fold = dict(wrapped('KFoldDataset', DAY), fold=1, num_splits=3)
    mixed = dict(wrapped('MultiImageMixDataset', DAY), pipeline=[dict(type='PackDetInputs')])
    sets = validation_sets(config(concatenated(fold, mixed)))
    assert sets == {'1': fold, '2': mixed}
    assert pipeline_of(sets['1']) == PIPELINE and pipeline_of(sets['2']) == mixed['pipeline']


@pytest.mark.parametrize(
    'evaluator',
    [
        dict(type='CocoMetric'),
        [dict(type='CocoMetric')],
        dict(type='Evaluator', metrics=dict(type='CocoMetric')),
        dict(metrics=[dict(type='CocoMetric')]),
    ],
)
def test_metrics_however_they_are_written(evaluator):
    assert all_metrics(config(DAY, evaluator)) == [dict(type='CocoMetric')]
