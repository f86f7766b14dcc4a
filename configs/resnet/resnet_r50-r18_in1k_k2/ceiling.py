# What the small network reaches on the large image.
_base_ = '../resnet18_100e_in1k.py'
