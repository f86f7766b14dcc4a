# The student alone: the small network on the small image, undistilled.
_base_ = '../resnet18_slim_20e_glyphs.py'
ceiling = '{{ fileDirname }}/../resnet18_slim_20e_glyphs.py'
# The large image is what the transforms before LowResolution yield.
low_resolution = dict(type='LowResolution', ratio=2, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Small images take longer to learn, and cost less.
max_epochs = 40
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=2,
        end=max_epochs,
        T_max=max_epochs - 2,
        convert_to_iter_based=True,
    ),
]
