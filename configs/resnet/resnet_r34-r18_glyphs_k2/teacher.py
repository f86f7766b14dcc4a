# The large network on the large image.
_base_ = '../resnet34_slim_20e_glyphs.py'
