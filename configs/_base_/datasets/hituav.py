# HIT-UAV: thermal images from a drone, as COCO's JSON, 320×256 (half of the original side). Its
# official split puts near copies of training images into the test set, so numbers on it flatter;
# these files are split by scene. Name the folder with annotations/{train,val,test}.json and images
# in the variable HITUAV_ROOT.
dataset_type = 'CocoDataset'
data_root = '{{$HITUAV_ROOT:data/hituav}}/'
data_hint = (
    'get HIT-UAV from its authors (Suo et al., Scientific Data 2023, CC BY 4.0; '
    'suojiashun/HIT-UAV-Infrared-Thermal-Dataset on GitHub), halve the images and boxes to '
    '320×256, split them by scene (a third of the official test images are near copies of '
    'training images), and set the environment variable HITUAV_ROOT to the folder with images and '
    'annotations/train.json, val.json and test.json'
)
metainfo = dict(classes=('Person', 'Car', 'Bicycle'))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 256), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 256), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
dataset = dict(
    type=dataset_type,
    data_root=data_root,
    data_prefix=dict(img='images/'),
    metainfo=metainfo,
)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(dataset, ann_file='annotations/train.json', pipeline=train_pipeline),
            dict(dataset, ann_file='annotations/val.json', pipeline=train_pipeline),
        ],
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, ann_file='annotations/test.json', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/test.json',
    metric='bbox',
    classwise=True,
    format_only=False,
)
test_evaluator = val_evaluator
