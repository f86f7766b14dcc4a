_base_ = [
    '../_base_/models/vit-tiny-p16.py',
    '../_base_/datasets/cub.py',
    '../_base_/schedules/schedule_90e_cls.py',
    '../_base_/cls_runtime.py',
]
pretrained = (
    'https://mmassets.onedl.ai/mmclassification/v0/deit/'
    'deit-tiny_pt-4xb256_in1k_20220218-13b382a0.pth'
)
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained, prefix='backbone')),
    head=dict(num_classes=200),
)
