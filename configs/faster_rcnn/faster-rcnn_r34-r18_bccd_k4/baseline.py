# The student alone: the small network on the small image, undistilled.
_base_ = '../faster-rcnn_r18_slim_fpn_800it_bccd.py'
model = dict(
    rpn_head=dict(
        # Objects are 4 times as small, and so are their anchors.
        anchor_generator=dict(scales=[1, 3 / 2]),
    ),
)
# The large image is what the transforms before LowResolution yield. For testing, annotations that
# are loaded after all of them stay in the pixels of the file.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
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
