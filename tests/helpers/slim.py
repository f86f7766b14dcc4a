"""MMDetection's families, made slim: the parts that AFP has to do with are the configs' own."""

from __future__ import annotations

from functools import cache
from typing import Any

from mmengine.config import Config, ConfigDict

from pd_mmdet.testing.zoo.configs import light, read_config

THINNER, CLASSES = 8, 10
CHANNELS = {32: 64, 16: 32, 8: 16, 4: 8}
"""Of the slim backbone, by stride."""

CONFIGS = dict(
    RetinaNet='retinanet/retinanet_r50_fpn_1x_coco.py',
    ATSS='atss/atss_r50_fpn_1x_coco.py',
    GFL='gfl/gfl_r50_fpn_1x_coco.py',
    FCOS='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    PAA='paa/paa_r50_fpn_1x_coco.py',
    TOOD='tood/tood_r50_fpn_1x_coco.py',
    VFNet='vfnet/vfnet_r50_fpn_1x_coco.py',
    DDOD='ddod/ddod_r50_fpn_1x_coco.py',
    FreeAnchor='free_anchor/freeanchor_r50_fpn_1x_coco.py',
    FSAF='fsaf/fsaf_r50_fpn_1x_coco.py',
    FoveaBox='foveabox/fovea_r50_fpn_4xb4-1x_coco.py',
    RepPoints='reppoints/reppoints-moment_r50_fpn_1x_coco.py',
    RepPointsBoxes='reppoints/reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco.py',
    AutoAssign='autoassign/autoassign_r50-caffe_fpn_1x_coco.py',
    SABLRetina='sabl/sabl-retinanet_r50_fpn_1x_coco.py',
    GARetina='guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py',
    PISARetina='pisa/retinanet-r50_fpn_pisa_1x_coco.py',
    LibraRetina='libra_rcnn/libra-retinanet_r50_fpn_1x_coco.py',
    CenterNetUpdate='centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py',
    CenterNet='centernet/centernet_r18_8xb16-crop512-140e_coco.py',
    YOLOF='yolof/yolof_r50-c5_8xb8-1x_coco.py',
    YOLOX='yolox/yolox_s_8xb8-300e_coco.py',
    YOLOv3='yolo/yolov3_d53_8xb8-320-273e_coco.py',
    RTMDet='rtmdet/rtmdet_s_8xb32-300e_coco.py',
    SSD='ssd/ssd300_coco.py',
    DyHead='dyhead/atss_r50_fpn_dyhead_1x_coco.py',
    NASFPN='nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py',
    NASFCOS='nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py',
    FPG='fpg/retinanet_r50_fpg_crop640_50e_coco.py',
    RPN='rpn/rpn_r50_fpn_1x_coco.py',
    FastRCNN='fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py',
    FasterRCNN='faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    CascadeRCNN='cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    CascadeRPN='cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py',
    DoubleHead='double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py',
    DynamicRCNN='dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py',
    GridRCNN='grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py',
    GuidedAnchoring='guided_anchoring/ga-faster-rcnn_r50_fpn_1x_coco.py',
    LibraRCNN='libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py',
    PISA='pisa/faster-rcnn_r50_fpn_pisa_1x_coco.py',
    SABL='sabl/sabl-cascade-rcnn_r50_fpn_1x_coco.py',
    CrowdDet='crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman.py',
    PAFPN='pafpn/faster-rcnn_r50_pafpn_1x_coco.py',
    HRFPN='hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py',
    CARAFE='carafe/faster-rcnn_r50_fpn-carafe_1x_coco.py',
    RFP='detectors/cascade-rcnn_r50-rfp_1x_coco.py',
    MaskRCNN='mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    CascadeMaskRCNN='cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py',
    HTC='htc/htc_r50_fpn_1x_coco.py',
    MaskScoring='ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py',
    PointRend='point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py',
    SCNet='scnet/scnet_r50_fpn_1x_coco.py',
    PanopticFPN='panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py',
    YOLACT='yolact/yolact_r50_1xb8-55e_coco.py',
    CondInst='condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
    BoxInst='boxinst/boxinst_r50_fpn_ms-90k_coco.py',
    SOLO='solo/solo_r50_fpn_1x_coco.py',
    SOLOv2='solov2/solov2_r50_fpn_1x_coco.py',
    RTMDetIns='rtmdet/rtmdet-ins_s_8xb32-300e_coco.py',
)


@cache
def zoo_config(family: str) -> Config:
    return read_config(CONFIGS[family])


def slim(family: str) -> ConfigDict:
    """A detector of the zoo on a ResNet with 8 channels, necks and heads an eighth as wide."""
    cfg = light(zoo_config(family).model)
    for part in cfg.keys() - {'backbone'}:
        _thin(cfg[part])
    neck = cfg.neck[0] if isinstance(cfg.neck, list) else cfg.neck
    strides = [4, 8, 16, 32]
    if family in ('CenterNet', 'YOLOF'):
        strides, neck.in_channels = [32], CHANNELS[32]
        if family == 'CenterNet':
            cfg.bbox_head.in_channels = neck.num_deconv_filters[-1]
    elif family == 'SSD':
        strides = [8, 16]
        neck.update(in_channels=[16, 32], out_channels=[16, 32, 64, 32, 32, 32])
        cfg.bbox_head.in_channels = neck.out_channels
    elif family == 'RFP':
        cfg.backbone.base_channels = neck.rfp_backbone.base_channels = 8
        neck.rfp_backbone.rfp_inplanes = neck.out_channels
        neck.in_channels = [32, 64, 128, 256]
        return cfg
    else:
        strides = strides[-len(neck.in_channels) :]
        neck.in_channels = [CHANNELS[stride] for stride in strides]
    if family == 'YOLOv3':
        neck.in_channels = neck.in_channels[::-1]
    cfg.backbone = dict(
        type='ResNet',
        depth=18,
        base_channels=8,
        out_indices=[(4, 8, 16, 32).index(stride) for stride in strides],
    )
    return cfg


def _thin(node: Any) -> None:
    if isinstance(node, (list, tuple)):
        for item in node:
            _thin(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key.endswith('channels'):
                node[key] = _thinned(value)
            elif key == 'num_groups':
                node[key] = 4
            elif key == 'num_classes' and value == 80:
                node[key] = CLASSES
            else:
                _thin(value)


def _thinned(channels: Any) -> Any:
    if isinstance(channels, (list, tuple)):
        return [_thinned(own) for own in channels]
    return channels // THINNER if isinstance(channels, int) and channels >= 64 else channels
