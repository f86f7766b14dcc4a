# The large network on the large image.
_base_ = '../resnet50_120e_cub.py'
