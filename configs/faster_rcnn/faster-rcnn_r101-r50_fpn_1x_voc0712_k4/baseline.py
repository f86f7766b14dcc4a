# The student alone: the small network on the small image, undistilled.
_base_ = '../faster-rcnn_r50_fpn_1x_voc0712.py'
model = dict(
    backbone=dict(
        # Nothing is frozen: small images look different, and ISRD trains the stem.
        frozen_stages=-1,
    ),
    rpn_head=dict(
        # Objects are 4 times as small, and so are their anchors.
        anchor_generator=dict(scales=[2]),
    ),
)
# The large image is what the transforms before LowResolution yield. For testing, annotations that
# are loaded after all of them stay in the pixels of the file.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    dict(type='LowResolution', ratio=4, views=['lr']),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            datasets=[
                dict(one, pipeline=train_pipeline)
                for one in _base_.train_dataloader.dataset.dataset.datasets
            ],
        ),
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
