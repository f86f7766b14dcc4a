# The large network on the large image.
_base_ = [
    '../../_base_/models/retinanet_r18_tiny_fpn.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/schedule_600_scratch.py',
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
