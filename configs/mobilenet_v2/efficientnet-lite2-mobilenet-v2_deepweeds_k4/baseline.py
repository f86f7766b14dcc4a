# The student alone: the small network on the small image, undistilled.
_base_ = '../mobilenet-v2_10e_deepweeds.py'
ceiling = '{{ fileDirname }}/../mobilenet-v2_10e_deepweeds.py'
# The large image is what the transforms before LowResolution yield.
low_resolution = dict(type='LowResolution', ratio=4, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Small images cost little, and a student needs longer than a network that reads large ones.
max_epochs = 30
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs - 1),
]
