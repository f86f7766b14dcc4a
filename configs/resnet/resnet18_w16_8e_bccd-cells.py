_base_ = './resnet18_w8_8e_bccd-cells.py'
width = 16
model = dict(
    backbone=dict(stem_channels=8, base_channels=width),
    head=dict(in_channels=8 * width),
)
