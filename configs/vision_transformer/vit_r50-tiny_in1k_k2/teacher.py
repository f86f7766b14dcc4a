# The large network on the large image.
_base_ = '../../resnet/resnet50_100e_in1k.py'
