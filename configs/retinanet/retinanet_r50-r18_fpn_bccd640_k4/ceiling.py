# What the small network reaches on the large image.
_base_ = '../retinanet_r18_fpn_bccd640.py'
