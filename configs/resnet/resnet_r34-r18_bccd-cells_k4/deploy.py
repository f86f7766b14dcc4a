# The student as it is deployed: a plain classifier of files that are really small.
_base_ = '../resnet18_slim_5e_bccd-cells.py'
custom_imports = dict(imports=[])
custom_hooks = []
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=28),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# What is deployed is not trained here, but by student.py.
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
