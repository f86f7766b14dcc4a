# retinanet_r18_slim_fpn.py for a few cores and many runs: a quarter of ResNet-18's width, 32
# channels behind it, one convolution before the outputs.
_base_ = './retinanet_r18_slim_fpn.py'
width = 64 if '{{$PRETRAINED:0}}' != '0' else 16
model = dict(
    backbone=dict(stem_channels=width, base_channels=width),
    neck=dict(in_channels=[width, 2 * width, 4 * width], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32, stacked_convs=1),
)
