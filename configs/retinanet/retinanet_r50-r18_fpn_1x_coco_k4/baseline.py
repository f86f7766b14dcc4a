# The student alone: the small network on the small image, undistilled.
_base_ = '../retinanet_r18_fpn_1x_coco.py'
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
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
