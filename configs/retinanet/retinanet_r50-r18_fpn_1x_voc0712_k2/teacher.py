# The large network on the large image.
_base_ = '../retinanet_r50_fpn_1x_voc0712.py'
