# The built-in glyphs data at full size. Make it with:
#   python tools/dataset_converters/make_glyphs.py --out data/glyphs
dataset_type = 'CocoDataset'
data_root = '{{$GLYPHS_ROOT:data/glyphs}}/'
data_hint = 'make it: python tools/dataset_converters/make_glyphs.py --out data/glyphs'
metainfo = dict(
    classes=('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T'),
    palette=[
        (220, 20, 60),
        (255, 127, 14),
        (255, 215, 0),
        (140, 200, 20),
        (0, 128, 0),
        (0, 190, 190),
        (30, 144, 255),
        (65, 60, 200),
        (148, 0, 211),
        (230, 100, 200),
    ],
)
backend_args = None

# No flip: glyphs are read one way round only.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(160, 160), keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(160, 160), keep_ratio=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline,
        backend_args=backend_args,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline,
        backend_args=backend_args,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/val.json',
    metric='bbox',
    format_only=False,
    backend_args=backend_args,
)
test_evaluator = val_evaluator
