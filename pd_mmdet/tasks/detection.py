"""What the tools do for detectors, on MMDetection."""

from __future__ import annotations

from mmdet.datasets.transforms import PackDetInputs
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config

from . import detection_recipe as recipe
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
size. Parameters and FLOPs (a multiplication and its addition are one) are of the deployed
detector, on the first validation image. Image: width x height as the detector reads it."""


def complete_loaders(cfg: Config) -> None:
    """Add to dataloaders what MMDetection's own tools add: nothing."""


def evaluators(cfg: Config, dataset: dict) -> list[dict]:
    """COCO's metric on the validation set: the config's, or a new one.

    Args:
        cfg: The stage's config.
        dataset: That of its validation set, without wrappers. Where the metric has no
            ``ann_file``, its pipeline is made to pack the instances too.
    """
    given = cfg.val_evaluator if isinstance(cfg.val_evaluator, list) else [cfg.val_evaluator]
    evaluator = next((dict(one) for one in given if one['type'] == 'CocoMetric'), {})
    if not evaluator.get('ann_file'):
        pack = dataset.pipeline[-1]
        pack.meta_keys = (*pack.get('meta_keys', PackDetInputs().meta_keys), 'instances')
    return [evaluator | dict(type='CocoMetric', metric='bbox', classwise=False, prefix='coco')]


def metrics(found: dict[str, float]) -> dict[str, float]:
    """Average precisions by the names of ``AP_NAMES``, 0 to 1; -1 where there is no such object."""
    # Without a single detection CocoMetric returns nothing.
    return {name: found.get(f'coco/{name}', 0.0) for name in AP_NAMES}
