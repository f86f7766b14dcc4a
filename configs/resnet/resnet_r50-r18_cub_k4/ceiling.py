# What the small network reaches on the large image.
_base_ = '../resnet18_120e_cub.py'
