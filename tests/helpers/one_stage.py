"""One-stage detectors of the zoo, small enough to train in a test."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

from mmengine.config import ConfigDict
from mmengine.hub import get_config

from tests.helpers.tiny import retinanet

CLASSES, CHANNELS = 3, 64
ZOO = dict(
    FCOS='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    FCOSInStrides='fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco',
    AutoAssign='autoassign/autoassign_r50-caffe_fpn_1x_coco',
    CenterNetUpdate='centernet/centernet-update_r50-caffe_fpn_ms-1x_coco',
    Fovea='foveabox/fovea_r50_fpn_4xb4-1x_coco',
    RepPoints='reppoints/reppoints-moment_r50_fpn_1x_coco',
    VFNet='vfnet/vfnet_r50_fpn_1x_coco',
    TOOD='tood/tood_r50_fpn_1x_coco',
    GFL='gfl/gfl_r50_fpn_1x_coco',
    ATSS='atss/atss_r50_fpn_1x_coco',
    YOLOX='yolox/yolox_tiny_8xb8-300e_coco',
    RTMDet='rtmdet/rtmdet_tiny_8xb32-300e_coco',
    SABLRetina='sabl/sabl-retinanet_r50_fpn_1x_coco',
)
read = cache(get_config)


def detector(name: str) -> ConfigDict:
    """A detector of the zoo on a slim ResNet and an FPN."""
    cfg = deepcopy(read(f'mmdet::{ZOO[name]}.py').model)
    cfg.data_preprocessor = retinanet().data_preprocessor
    cfg.backbone = dict(type='ResNet', depth=18, base_channels=8, num_stages=4)
    cfg.neck = dict(
        type='FPN',
        in_channels=[8, 16, 32, 64],
        out_channels=CHANNELS,
        start_level=1,
        add_extra_convs='on_output',
        num_outs=3 if name in ('YOLOX', 'RTMDet') else 5,
    )
    slim = dict(
        in_channels=CHANNELS,
        feat_channels=CHANNELS,
        point_feat_channels=CHANNELS,
        stacked_convs=1,
        num_classes=CLASSES,
    )
    cfg.bbox_head.update({key: value for key, value in slim.items() if key in cfg.bbox_head})
    return cfg
