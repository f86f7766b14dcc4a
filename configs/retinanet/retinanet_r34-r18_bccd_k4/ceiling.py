# What the small network reaches on the large image.
_base_ = './teacher.py'
pretrained = '{{$PRETRAINED:0}}' != '0'
model = dict(
    backbone=dict(
        depth=18,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')
        if pretrained
        else None,
    ),
)
max_iters = 800  # as many as the student has
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, T_max=max_iters - 100),
]
