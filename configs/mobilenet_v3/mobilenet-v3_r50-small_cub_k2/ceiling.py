# What the small network reaches on the large image.
_base_ = '../mobilenet-v3-small_120e_cub.py'
