# The large network on the large image.
_base_ = '../retinanet_r50_fpn_bccd640.py'
