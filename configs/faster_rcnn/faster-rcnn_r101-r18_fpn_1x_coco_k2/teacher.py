# The large network on the large image.
_base_ = '../faster-rcnn_r101_fpn_1x_coco.py'
