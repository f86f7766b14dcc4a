# ResNet-18 of a quarter of the width, for few cores, with half the stride, for small images.
_base_ = 'mmpretrain::_base_/models/resnet18.py'
width = 16
model = dict(
    backbone=dict(stem_channels=width, base_channels=width, strides=(1, 1, 2, 2)),
    head=dict(in_channels=8 * width),
)
