_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    '../_base_/datasets/aircraft.py',
    '../_base_/schedules/schedule_120e_cls.py',
    '../_base_/cls_runtime.py',
]
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    head=dict(num_classes=100),
)
