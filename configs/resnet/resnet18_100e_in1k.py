_base_ = './resnet50_100e_in1k.py'
model = dict(backbone=dict(depth=18), head=dict(in_channels=512))
