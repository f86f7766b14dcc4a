# The student alone: the small network on the small image, undistilled.
_base_ = [
    '../../_base_/models/retinanet_r18_tiny_fpn.py',
    '../../_base_/datasets/bccd_detection.py',
    '../../_base_/schedules/schedule_800_scratch.py',
    '../../_base_/iter_runtime.py',
]
model = dict(bbox_head=dict(num_classes=3, anchor_generator=dict(octave_base_scale=1.4)))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackDetInputs', meta_keys={{_base_.meta_keys}}),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
