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
