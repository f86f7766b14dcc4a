# The student alone: the small network on the small image, undistilled.
_base_ = '../retinanet_r18_fpn_bccd640.py'
model = dict(
    backbone=dict(
        # Nothing is frozen: small images look different, and ISRD trains the stem.
        frozen_stages=-1,
    ),
    bbox_head=dict(
        # Objects are 4 times as small, and so are their anchors.
        anchor_generator=dict(octave_base_scale=1),
    ),
)
# The large image is what the transforms before LowResolution yield. For testing, annotations that
# are loaded after all of them stay in the pixels of the file.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(640, 480), keep_ratio=True),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(640, 480), keep_ratio=True),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
    ),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
