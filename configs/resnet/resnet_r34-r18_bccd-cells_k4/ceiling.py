# What the small network reaches on the large image.
_base_ = '../resnet18_slim_5e_bccd-cells.py'
