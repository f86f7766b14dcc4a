# The large network on the large image.
_base_ = '../resnet34_slim_5e_bccd-cells.py'
