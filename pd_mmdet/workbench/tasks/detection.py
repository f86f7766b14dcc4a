"""What the tools do for detectors, on MMDetection."""

from __future__ import annotations

import os

from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import PackDetInputs
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config

from ..stages.sets import given_metrics, metric_of_each, pipeline_of, type_name, validation_sets
from . import detection_recipe as recipe
from .coco import CocoMetricFromZero
from .detection_picture import picture, shown

__all__ = ['DATASETS', 'MODELS', 'picture', 'recipe', 'shown', 'trigger_visualization_hook']

NAME = 'Detection'
SCOPE = 'mmdet'
DUMP = DumpDetResults
TTA_MODEL = dict(
    type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
)
AP_NAMES = (
    'bbox_mAP',
    'bbox_mAP_50',
    'bbox_mAP_75',
    'bbox_mAP_s',
    'bbox_mAP_m',
    'bbox_mAP_l',
)
NOTES = """\
AP: COCO's, in points, of the last checkpoint on the validation set; – where no object has that
size, or where the config's metric leaves it out. Parameters and FLOPs (a multiplication and its
addition are one) are of the deployed detector, on the first validation image. Image: width x height
as the detector reads it."""


def complete_loaders(cfg: Config) -> None:
    """Add to dataloaders what MMDetection's own tools add: nothing."""


def evaluators(cfg: Config, place: int) -> list[dict]:
    """COCO's metric on a validation set: the config's, or a new one.

    Where several sets share a metric with an ``ann_file``, which cannot be that of each, each set
    is judged by its own annotations.

    Args:
        cfg: The stage's config. Where the metric has no ``ann_file``, the pipeline of the set is
            made to pack the instances too.
        place: Which of the validation sets.
    """
    sets = list(validation_sets(cfg).values())
    of_each = metric_of_each(cfg)
    given = of_each[place : place + 1] or given_metrics(cfg)
    metric = next((dict(one) for one in given if type_name(one) == 'CocoMetric'), {})
    if len(sets) > 1 and not of_each and metric.get('ann_file'):
        metric['ann_file'] = _coco_file(sets[place])
    if not metric.get('ann_file'):
        pack = pipeline_of(sets[place])[-1]
        pack['meta_keys'] = (*pack.get('meta_keys', PackDetInputs().meta_keys), 'instances')
    ours = dict(type=CocoMetricFromZero.__name__, metric='bbox', classwise=False, prefix='coco')
    return [metric | ours]


def _coco_file(dataset: dict) -> str | None:
    """The annotation file of a set in COCO's format that is used as a whole; else None."""
    kind = dataset['type']
    kind = kind if isinstance(kind, type) else DATASETS.get(kind)
    if not issubclass(kind, CocoDataset) or 'indices' in dataset:
        return None
    return os.path.join(dataset.get('data_root') or '', dataset['ann_file'])


def metrics(found: dict[str, float]) -> dict[str, float | None]:
    """Average precisions by the names of ``AP_NAMES``, 0 to 1; -1 where there is no such object,
    None where the metric was not asked for it."""
    return {name: found.get(f'coco/{name}') for name in AP_NAMES}
