# DeepWeeds: photographs of eight weeds and of what is none, 128×128 (half of the original side), as
# class folders in train, val and test. Name their folder in the variable DEEPWEEDS_ROOT.
dataset_type = 'CustomDataset'
data_root = '{{$DEEPWEEDS_ROOT:data/deepweeds}}/'
data_hint = (
    'get DeepWeeds from its authors (Olsen et al., Scientific Reports 2019, images CC BY 4.0; '
    'AlexOlsen/DeepWeeds on GitHub), halve the images to 128×128, sort them by class into train, '
    'val and test (here: a fold with 300, 75 and 150 images a class), and set the environment '
    'variable DEEPWEEDS_ROOT to the folder of the three'
)
data_preprocessor = dict(
    num_classes=9,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

# Weeds are photographed from above: no side is up.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=128, crop_ratio_range=(0.4, 1.0)),
    dict(
        type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix='test',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='Accuracy', topk=1),
    dict(type='SingleLabelMetric', items=('recall',), average='macro'),
]
test_evaluator = val_evaluator
