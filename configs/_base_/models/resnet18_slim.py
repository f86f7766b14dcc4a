# ResNet-18 of an eighth of the width, for small images and few cores: a stem that keeps every pixel,
# and residual branches that learn from the first step on, since the schedule is short.
_base_ = 'mmpretrain::_base_/models/resnet18_cifar.py'
width = 8
model = dict(
    backbone=dict(
        stem_channels=width,
        base_channels=width,
        strides=(2, 2, 2, 2),
        zero_init_residual=False,
    ),
    head=dict(in_channels=8 * width),
)
