# What the small network reaches on the large image.
_base_ = '../faster-rcnn_r50_fpn_1x_voc0712.py'
