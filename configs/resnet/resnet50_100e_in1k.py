# MMPretrain's schedule, from scratch: the paper's is for fine-tuning.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    '../_base_/cls_runtime.py',
]
data_root = '{{$IMAGENET_ROOT:data/imagenet}}/'
data_hint = (
    'get ImageNet-1k (image-net.org), and set the environment variable IMAGENET_ROOT to the folder '
    'with train and val, in each a folder a class'
)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
