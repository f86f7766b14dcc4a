_base_ = [
    '../_base_/models/faster-rcnn_r18_slim_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_1000_scratch.py',
    '../_base_/iter_runtime.py',
]
pretrained = '{{$PRETRAINED:0}}' != '0'
model = dict(
    backbone=dict(
        depth=34,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34')
        if pretrained
        else None,
    ),
    roi_head=dict(bbox_head=dict(num_classes=3)),
)
