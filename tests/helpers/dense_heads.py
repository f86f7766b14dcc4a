"""The dense heads of MMDetection's zoo, made slim, with weights that find boxes everywhere."""

import re
from copy import deepcopy
from functools import cache

import mmdet.models  # noqa: F401  (registers the heads)
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from pd_mmdet.losses.readers import DenseHeadOutput

CHANNELS, BATCH = 32, 2
ZOO = dict(
    Retina='retinanet/retinanet_r18_fpn_1x_coco',
    FSAF='fsaf/fsaf_r50_fpn_1x_coco',
    SSD='ssd/ssd300_coco',
    YOLOF='yolof/yolof_r50-c5_8xb8-1x_coco',
    YOLACT='yolact/yolact_r50_1xb8-55e_coco',
    RPN='rpn/rpn_r50_fpn_1x_coco',
    ATSS='atss/atss_r50_fpn_1x_coco',
    PAA='paa/paa_r50_fpn_1x_coco',
    DDOD='ddod/ddod_r50_fpn_1x_coco',
    GFL='gfl/gfl_r50_fpn_1x_coco',
    TOOD='tood/tood_r50_fpn_1x_coco',
    VFNet='vfnet/vfnet_r50_fpn_1x_coco',
    FCOS='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    CondInst='condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
    AutoAssign='autoassign/autoassign_r50-caffe_fpn_1x_coco',
    CenterNetUpdate='centernet/centernet-update_r50-caffe_fpn_ms-1x_coco',
    Fovea='foveabox/fovea_r50_fpn_4xb4-1x_coco',
    RepPoints='reppoints/reppoints-moment_r50_fpn_1x_coco',
    RTMDet='rtmdet/rtmdet_tiny_8xb32-300e_coco',
    RTMDetIns='rtmdet/rtmdet-ins_tiny_8xb32-300e_coco',
    YOLOX='yolox/yolox_tiny_8xb8-300e_coco',
    YOLOV3='yolo/yolov3_mobilenetv2_8xb24-320-300e_coco',
    SABLRetina='sabl/sabl-retinanet_r50_fpn_1x_coco',
    GARetina='guided_anchoring/ga-retinanet_r50_fpn_1x_coco',
)
VARIANTS = dict(
    RetinaSoftmax=('Retina', dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False))),
    RetinaLegacy=('Retina', dict(bbox_coder=dict(type='LegacyDeltaXYWHBBoxCoder'))),
    RPNSoftmax=('RPN', dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False))),
    TOODOnAnchors=('TOOD', dict(anchor_type='anchor_based')),
    VFNetInStrides=('VFNet', dict(bbox_norm_type='stride')),
    FCOSInStrides=('FCOS', dict(norm_on_bbox=True)),
    NASFCOS=('FCOS', dict(type='NASFCOSHead')),
    FoveaAligned=('Fovea', dict(with_deform=True)),
    RepPointsMinMax=('RepPoints', dict(transform_method='minmax')),
    RepPointsGrid=('RepPoints', dict(transform_method='minmax', use_grid_points=True)),
    RTMDetExp=('RTMDet', dict(exp_on_reg=True)),
    RTMDetObjectness=('RTMDet', dict(with_objectness=True)),
)
HEADS = [*ZOO, *VARIANTS]
read = cache(get_config)


def head_cfg(name: str, classes: int = 1) -> ConfigDict:
    """The config of a head of the zoo, on a pyramid of 32 channels."""
    name, options = VARIANTS.get(name, (name, {}))
    model = deepcopy(read(f'mmdet::{ZOO[name]}.py').model)
    cfg = model.rpn_head if name == 'RPN' else model.bbox_head
    levels = len(cfg.in_channels) if isinstance(cfg.in_channels, (list, tuple)) else None
    slim = dict(
        in_channels=[CHANNELS] * levels if levels else CHANNELS,
        feat_channels=CHANNELS,
        point_feat_channels=CHANNELS,
        out_channels=[CHANNELS] * (levels or 1),
        stacked_convs=1,
        num_classes=classes,
    )
    cfg.update({key: value for key, value in slim.items() if key in cfg})
    for key, value in options.items():  # `update` would merge dicts
        cfg[key] = value
    return ConfigDict(cfg, test_cfg=model.test_cfg.rpn if name == 'RPN' else model.test_cfg)


def build(cfg: dict, seed: int = 0) -> nn.Module:
    """A head in eval, but answering in the form of training."""
    torch.manual_seed(seed)
    head = MODELS.build(cfg)
    for name, parameter in head.named_parameters():
        predicts_sides = re.search(
            r'_reg(\.\d+)?\.(weight|bias)$', name
        )  # they may not be negative
        if parameter.dim() > 1:
            gain = 0.2 if predicts_sides else 1
            nn.init.normal_(parameter, std=gain / parameter[0].numel() ** 0.5)
        elif name.endswith('bias'):
            nn.init.normal_(parameter, mean=1 if predicts_sides else 0, std=0.1)
    head.eval().training = True
    return head


def pyramid(head: nn.Module, seed: int = 1) -> list[Tensor]:
    """Random features for two images, one map a level."""
    generator = torch.Generator().manual_seed(seed)
    priors = getattr(head, 'prior_generator', None) or head.square_anchor_generator
    sides = [(max(3, int(64 // s[1])), max(4, int(80 // s[0]))) for s in priors.strides]
    return [torch.randn(BATCH, CHANNELS, *side, generator=generator) for side in sides]


@torch.no_grad()
def predicted(head: nn.Module, seed: int = 1, levels: list[int] | None = None) -> DenseHeadOutput:
    """Run a head on random features; its maps are leaves that take gradients."""
    outputs = tree_map(lambda feat: feat.detach().requires_grad_(), head(pyramid(head, seed)))
    return DenseHeadOutput(
        head, outputs, list(range(len(outputs[0]))) if levels is None else levels
    )
