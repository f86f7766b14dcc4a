# The large network on the large image.
_base_ = [
    '../../_base_/models/retinanet_r18_tiny_fpn.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/schedule_1000_scratch.py',
    '../../_base_/iter_runtime.py',
]
pretrained = '{{$PRETRAINED:0}}' != '0'
model = dict(
    backbone=dict(
        depth=34,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34')
        if pretrained
        else None,
    ),
    bbox_head=dict(num_classes=3, anchor_generator=dict(octave_base_scale=4)),
)
max_iters = 600
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, T_max=max_iters - 100),
]
