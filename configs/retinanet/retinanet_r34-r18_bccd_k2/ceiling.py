# What the small network reaches on the large image.
_base_ = './teacher.py'
model = dict(backbone=dict(depth=18))
