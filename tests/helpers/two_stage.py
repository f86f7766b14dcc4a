"""Two-stage detectors of the zoo, small enough to train in a test."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from mmengine.config import ConfigDict
from mmengine.hub import get_config

ROI = 'roi_head.bbox_head'
RPN = dict(student='rpn_head', teacher='rpn_head', weight=1.0)
HEAD = dict(student=ROI, teacher=ROI, weight=1.0)
RPN_CLS = dict(RPN, loss=dict(type='DenseHeadClsLoss'))
RPN_BOX = dict(RPN, loss=dict(type='DenseHeadBoxLoss'))
ROI_CLS = dict(HEAD, loss=dict(type='RoIHeadClsLoss'))
ROI_BOX = dict(HEAD, loss=dict(type='RoIHeadBoxLoss'))
TERMS = dict(rpn_cls=RPN_CLS, rpn_box=RPN_BOX, roi_cls=ROI_CLS, roi_box=ROI_BOX)

FASTER = 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco'
CASCADE = 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco'
MASK = 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco'
HTC = 'htc/htc_r50_fpn_1x_coco'
WIDTH = 16

read = cache(get_config)


def detector(name: str = FASTER, **roi_head: Any) -> ConfigDict:
    """A detector of the zoo with narrow layers, small anchors and few RoIs.

    Args:
        name: Path of its config, without the ending.
        roi_head: Options put over those of its RoI head.
    """
    cfg = _narrow(deepcopy(read(f'mmdet::{name}.py').model))
    cfg.backbone = dict(type='ResNet', depth=18, base_channels=8, norm_eval=False)
    fpn = cfg.neck[0] if isinstance(cfg.neck, list) else cfg.neck
    fpn.in_channels = [8, 16, 32, 64]
    if 'anchor_generator' in cfg.get('rpn_head', {}):
        cfg.rpn_head.anchor_generator.scales = [2]
    stages = cfg.train_cfg.rcnn if isinstance(cfg.train_cfg.rcnn, list) else [cfg.train_cfg.rcnn]
    for stage in stages:
        stage.sampler.num = 32
    cfg.roi_head.update(roi_head)
    return cfg


def assistant(cfg: dict, ratio: int | str = 2) -> ConfigDict:
    return ConfigDict(type='AFPDetector', detector=cfg, ratio=ratio)


def _narrow(node: Any) -> Any:
    """The same config with few channels and three classes."""
    if isinstance(node, list):
        return [_narrow(child) for child in node]
    if not isinstance(node, dict):
        return node
    for key, value in node.items():
        if key.endswith('_channels') and value in (256, 1024):
            node[key] = WIDTH
        elif key == 'num_classes' and value > 1:
            node[key] = 3
        else:
            node[key] = _narrow(value)
    return node
