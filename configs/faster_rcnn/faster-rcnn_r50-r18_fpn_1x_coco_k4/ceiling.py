# What the small network reaches on the large image.
_base_ = '../faster-rcnn_r18_fpn_1x_coco.py'
