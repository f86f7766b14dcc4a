# The large network on the large image.
_base_ = '../faster-rcnn_r101_fpn_1x_voc0712.py'
