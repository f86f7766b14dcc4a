# RetinaNet for small images and few cores: ResNet-18 of half the width and without its last
# stage, an FPN of 64 channels on the strides 4, 8 and 16. Trained from scratch, so nothing is
# frozen and norm statistics learn.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(
        in_channels=[32, 64, 128],
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
