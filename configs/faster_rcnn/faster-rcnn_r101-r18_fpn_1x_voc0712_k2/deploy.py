# The student as it is deployed: a plain detector of files that are really small.
_base_ = '../faster-rcnn_r18_fpn_1x_voc0712.py'
custom_imports = dict(imports=[])
custom_hooks = []
model = dict(
    backbone=dict(
        # Nothing is frozen: small images look different, and ISRD trains the stem.
        frozen_stages=-1,
    ),
    rpn_head=dict(
        # Objects are 2 times as small, and so are their anchors.
        anchor_generator=dict(scales=[4]),
    ),
)
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(500, 300), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# What is deployed is not trained here, but by student.py.
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
