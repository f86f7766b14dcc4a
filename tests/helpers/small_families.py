"""A detector of each family that can be exported, so small that it is traced in seconds."""

from __future__ import annotations

from pathlib import Path

import torch
from mmdet.models.necks.ssd_neck import L2Norm
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from torch import nn

from tests.helpers import one_stage, slim, tiny, two_stage

CLASSES, WIDTH = 3, 32  # a group norm has 32 groups
STRIDES = [4, 8]
BACKBONE = dict(
    type='ResNet',
    depth=18,
    stem_channels=8,
    base_channels=8,
    num_stages=1,
    strides=(1,),
    dilations=(1,),
    out_indices=(0,),
)
NECK = dict(
    type='FPN',
    in_channels=[8],
    out_channels=WIDTH,
    add_extra_convs='on_output',
    num_outs=len(STRIDES),
)


def detector(family: str) -> ConfigDict:
    """The config of a small detector of a family, which answers on strides 4 and 8."""
    if family == 'RetinaNet':
        cfg = tiny.retinanet()
    elif family == 'FasterRCNN':
        return _faster_rcnn(two_stage.detector())
    elif family == 'SSD':
        return _ssd(slim.slim('SSD'))
    else:
        cfg = one_stage.detector(family)
    cfg.backbone, cfg.neck = BACKBONE, NECK
    head = cfg.bbox_head
    head.update(in_channels=WIDTH, feat_channels=WIDTH, num_classes=CLASSES)
    for name in ('anchor_generator', 'prior_generator'):
        if name in head:
            head[name].strides = STRIDES
    if family.startswith('FCOS'):
        head.update(strides=STRIDES, regress_ranges=((-1, 32), (32, 1e8)))
    if family == 'YOLOX':
        head.update(strides=STRIDES)
    return cfg


def _faster_rcnn(cfg: ConfigDict) -> ConfigDict:
    cfg.backbone, cfg.neck = BACKBONE, NECK
    for part in (cfg.rpn_head, cfg.roi_head.bbox_roi_extractor, cfg.roi_head.bbox_head):
        part.update({key: WIDTH for key in ('in_channels', 'out_channels') if key in part})
    cfg.rpn_head.anchor_generator.strides = STRIDES
    cfg.roi_head.bbox_roi_extractor.featmap_strides = STRIDES
    cfg.test_cfg.rpn.max_per_img = 50
    return cfg


def _ssd(cfg: ConfigDict) -> ConfigDict:
    cfg.backbone.update(num_stages=3, out_indices=(1, 2), strides=(1, 2, 2), dilations=(1, 1, 1))
    cfg.neck.update(out_channels=[16, 32, 64], level_strides=(2,), level_paddings=(1,))
    # Its own has values of a hundred, of which a network that has not learnt is too sure.
    cfg.data_preprocessor = tiny.retinanet().data_preprocessor
    cfg.neck.l2_norm_scale, cfg.test_cfg.max_per_img = 6, 100
    cfg.bbox_head.in_channels = cfg.neck.out_channels
    anchors = cfg.bbox_head.anchor_generator
    anchors.update(strides=anchors.strides[:3], ratios=anchors.ratios[:3])
    cfg.bbox_head.num_classes = CLASSES
    return cfg


def with_cells(cfg: ConfigDict) -> ConfigDict:
    return ConfigDict(type='SubCellDetector', cells=2, detector=cfg)


def without_threshold(cfg: ConfigDict) -> ConfigDict:
    """Let a network find something that has not learnt, and so is sure of nothing.

    SSD's softmax of four classes gives 0.27 to the cells of an even background. Where scores are
    one, rounding decides which box hides the other, so these are left out.
    """
    ssd = cfg.get('bbox_head', {}).get('type') == 'SSDHead'
    cfg.test_cfg.get('rcnn', cfg.test_cfg).score_thr = 0.28 if ssd else 0.0
    return cfg


def save(model: dict, base: Path, folder: Path, text: str = '') -> tuple[Path, Path]:
    """Write the config and the checkpoint of an undistilled student.

    Args:
        model: Config of the model.
        base: The config that it inherits its data from.
        folder: For ``student.py`` and ``student.pth``.
        text: Further lines of the config.
    """
    config, checkpoint = folder / 'student.py', folder / 'student.pth'
    model_text = repr(dict(ConfigDict(model).to_dict(), _delete_=True))
    config.write_text(f'_base_ = {str(base)!r}\nmodel = {model_text}\n{text}')
    torch.manual_seed(0)
    built = MODELS.build(ConfigDict(model))
    for module in built.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.7 / module.weight[0].numel() ** 0.5)
        elif isinstance(module, L2Norm):  # of SSD; before it is set, its weight is any number
            nn.init.constant_(module.weight, 20)
    torch.save(dict(meta={}, state_dict=built.state_dict()), checkpoint)
    return config, checkpoint
