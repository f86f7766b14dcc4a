# The student alone: the small network on the small image, undistilled.
_base_ = [
    '../../_base_/models/retinanet_r18_tiny_fpn.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/schedule_1000_scratch.py',
    '../../_base_/iter_runtime.py',
]
model = dict(bbox_head=dict(num_classes=3, anchor_generator=dict(octave_base_scale=2)))
low_resolution = dict(type='LowResolution', ratio=2, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
max_iters = 800
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, T_max=max_iters - 100),
]
