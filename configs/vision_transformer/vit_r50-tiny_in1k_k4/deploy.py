# The student as it is deployed: a plain classifier of files that are really small.
_base_ = '../vit-tiny-p16_300e_in1k.py'
custom_imports = dict(imports=[])
custom_hooks = []
model = dict(backbone=dict(img_size=56))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=64, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=56),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# What is deployed is not trained here, but by student.py.
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
