# RetinaNet-R18 for small images: smaller anchors than MMDetection's, and nothing frozen, since
# ISRD trains the stem.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
model = dict(
    backbone=dict(
        depth=18,
        frozen_stages=-1,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
    bbox_head=dict(anchor_generator=dict(octave_base_scale=2)),
)
