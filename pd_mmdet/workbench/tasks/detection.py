"""Detection, on MMDetection."""

from __future__ import annotations

import os

from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import PackDetInputs
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config

from ...pixel_options import type_name
from ..validation_sets import (
    all_metrics,
    metric_of_each_set,
    pipeline_of,
    validation_sets,
)
from .coco_metric import CocoMetricFromZero
from .detection_picture import choose_images, draw_comparison
from .small_detector import small_detector
from .task import Task

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


def heads(model: dict) -> list[dict]:
    """List the configs of a detector's heads that tell classes apart."""
    found = model.get('bbox_head') or model.get('roi_head', {}).get('bbox_head') or []
    return found if isinstance(found, list) else [found]


def complete_loaders(cfg: Config) -> None:
    """Add to dataloaders what MMDetection's own tools add: nothing."""


def evaluators(cfg: Config, place: int) -> list[dict]:
    """Return COCO's metric for a validation set: the config's, or a new one.

    Where several sets share a metric with an ``ann_file``, which cannot be that of each, each set
    is judged by its own annotations.

    Args:
        cfg: The stage's config. Where the metric has no ``ann_file``, the pipeline of the set is
            made to pack the instances too.
        place: Index of the validation set.
    """
    sets = list(validation_sets(cfg).values())
    of_each = metric_of_each_set(cfg)
    given = of_each[place : place + 1] or all_metrics(cfg)
    metric = next((dict(metric) for metric in given if type_name(metric) == 'CocoMetric'), {})
    if len(sets) > 1 and not of_each and metric.get('ann_file'):
        metric['ann_file'] = _coco_file(sets[place])
    if not metric.get('ann_file'):
        pack = pipeline_of(sets[place])[-1]
        pack['meta_keys'] = (*pack.get('meta_keys', PackDetInputs().meta_keys), 'instances')
    return [
        metric
        | dict(type=CocoMetricFromZero.__name__, metric='bbox', classwise=False, prefix='coco')
    ]


def _coco_file(dataset: dict) -> str | None:
    """Return the annotation file of a set in COCO's format that is used as a whole, or None."""
    kind = dataset['type']
    kind = kind if isinstance(kind, type) else DATASETS.get(kind)
    if not issubclass(kind, CocoDataset) or 'indices' in dataset:
        return None
    return os.path.join(dataset.get('data_root') or '', dataset['ann_file'])


def metrics(found: dict[str, float]) -> dict[str, float | None]:
    """Return average precisions by the names of ``AP_NAMES``, 0 to 1.

    -1 where no object has that size, None where the metric was not asked for it.
    """
    return {name: found.get(f'coco/{name}') for name in AP_NAMES}


def _neck_term(teacher: str) -> dict:
    return dict(student='neck', teacher=teacher, loss=dict(type='PearsonLoss'), weight=2.0)


def _head_term(tap: str, loss: str) -> dict:
    return dict(student=tap, teacher=tap, loss=dict(type=loss), weight=1.0)


DENSE_HEAD_TERMS = dict(
    cls=_head_term('bbox_head', 'DenseHeadClsLoss'),
    box=_head_term('bbox_head', 'DenseHeadBoxLoss'),
    rpn_cls=_head_term('rpn_head', 'DenseHeadClsLoss'),
    rpn_box=_head_term('rpn_head', 'DenseHeadBoxLoss'),
)

DETECTION = Task(
    name='Detection',
    kind='detector',
    library='MMDetection',
    scope='mmdet',
    package='pd_mmdet',
    models=MODELS,
    datasets=DATASETS,
    distiller='AFPDistiller',
    assistant='AFPDetector',
    hooks=('TeacherHook', 'PriorCoverageHook', 'ISRDVisualizationHook'),
    packing='PackDetInputs',
    preprocessor_in_model=True,
    fixed_size=False,
    different_network_terms=dict(pkd=_neck_term('neck')),
    same_priors_terms=DENSE_HEAD_TERMS,
    same_network_terms=dict(
        pkd=_neck_term('neck.afp'),
        **DENSE_HEAD_TERMS,
        roi_cls=_head_term('roi_head.bbox_head', 'RoIHeadClsLoss'),
        roi_box=_head_term('roi_head.bbox_head', 'RoIHeadBoxLoss'),
    ),
    isrd_weight=0.5,  # chosen on glyphs
    small_model=small_detector,
    heads=heads,
    one_stage_note="The teacher's levels meet those of the student that have the same cells; the "
    'heads differ in their priors.',
    pipeline_note='For testing, annotations that are loaded after all of them stay in the pixels '
    'of the file.',
    metrics=metrics,
    evaluators=evaluators,
    notes=NOTES,
    choose_images=choose_images,
    draw_comparison=draw_comparison,
    complete_loaders=complete_loaders,
    show_predictions=trigger_visualization_hook,
    dump_metric=DumpDetResults,
    tta_model=dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    ),
)
"""Detection: all that differs from classification."""
