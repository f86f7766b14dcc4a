# ResNet-34 of three eighths of the width, for few cores.
_base_ = 'mmpretrain::_base_/models/resnet34.py'
width = 24
model = dict(
    backbone=dict(stem_channels=width, base_channels=width),
    head=dict(in_channels=8 * width),
)
