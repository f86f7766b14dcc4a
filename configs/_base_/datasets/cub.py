# CUB-200-2011 at the folder that the variable CUB_ROOT names, in crops of 224 pixels.
_base_ = 'mmpretrain::_base_/datasets/cub_bs8_384.py'
data_root = '{{$CUB_ROOT:data/CUB_200_2011}}/'
data_hint = (
    'get CUB-200-2011 (www.vision.caltech.edu/datasets/cub_200_2011), and set the environment '
    'variable CUB_ROOT to the folder with images and images.txt'
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
