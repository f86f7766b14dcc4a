# What the small network reaches on the large image.
_base_ = '../faster-rcnn_r18_slim_fpn_800it_bccd.py'
