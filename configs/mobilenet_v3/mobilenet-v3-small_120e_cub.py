_base_ = [
    'mmpretrain::_base_/models/mobilenet_v3/mobilenet_v3_small_imagenet.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/schedule_120e_cls.py',
    '../_base_/cls_runtime.py',
]
pretrained = (
    'https://mmassets.onedl.ai/mmclassification/v0/mobilenet_v3/'
    'mobilenet-v3-small_8xb128_in1k_20221114-bd1bfcde.pth'
)
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone')),
    head=dict(num_classes=200),
)
