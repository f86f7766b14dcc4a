# The student alone: the small network on the small image, undistilled.
_base_ = '../resnet18_slim_5e_bccd-cells.py'
# The large image is what the transforms before LowResolution yield.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=112, padding=8, padding_mode='edge'),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=112),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
