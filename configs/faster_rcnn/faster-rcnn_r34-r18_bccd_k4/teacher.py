# The large network on the large image.
_base_ = '../faster-rcnn_r34_slim_fpn_1000it_bccd.py'
