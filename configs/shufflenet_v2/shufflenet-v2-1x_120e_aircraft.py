_base_ = [
    'mmpretrain::_base_/models/shufflenet_v2_1x.py',
    '../_base_/datasets/aircraft.py',
    '../_base_/schedules/schedule_120e_cls.py',
    '../_base_/cls_runtime.py',
]
pretrained = (
    'https://mmassets.onedl.ai/mmclassification/v0/shufflenet_v2/'
    'shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth'
)
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone')),
    head=dict(num_classes=100),
)
