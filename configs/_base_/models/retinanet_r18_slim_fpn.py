# RetinaNet for small images and few cores: ResNet-18 of half the width and without its last
# stage, an FPN of 64 channels on the strides 4, 8 and 16. Trained from scratch, so nothing is
# frozen and norm statistics learn. PRETRAINED=1 takes the full width and ImageNet's weights.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
pretrained = '{{$PRETRAINED:0}}' != '0'
width = 64 if pretrained else 32
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        depth=18,
        stem_channels=width,
        base_channels=width,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')
        if pretrained
        else None,
    ),
    neck=dict(
        in_channels=[width, 2 * width, 4 * width],
        out_channels=64,
        start_level=0,
        add_extra_convs=False,
        num_outs=3,
    ),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        anchor_generator=dict(octave_base_scale=2, scales_per_octave=2, strides=[4, 8, 16]),
    ),
)
