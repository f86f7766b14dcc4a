# ResNet-18 of a quarter of the width, with half the stride, for small images.
_base_ = './resnet34_slim_5e_bccd-cells.py'
width = 16
model = dict(
    backbone=dict(depth=18, stem_channels=width, base_channels=width, strides=(1, 1, 2, 2)),
    head=dict(in_channels=8 * width),
)
