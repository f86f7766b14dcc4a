# The student as it is deployed: a plain detector of files that are really small.
_base_ = '../retinanet_r18_fpn_bccd640.py'
custom_imports = dict(imports=[])
custom_hooks = []
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
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 120), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
    ),
]
val_dataloader = dict(
    dataset=dict(
        type='XMLDataset',
        metainfo=dict(
            classes=('RBC', 'WBC', 'Platelets'),
            palette=[(220, 20, 60), (0, 128, 255), (255, 160, 0)],
        ),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
# What is deployed is not trained here, but by student.py.
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
