# The large network on the large image.
_base_ = '../resnet34_slim_8e_bccd-cells.py'
