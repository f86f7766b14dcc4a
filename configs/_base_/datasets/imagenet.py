# MMPretrain's ImageNet-1k, at the folder that the variable IMAGENET_ROOT names.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
data_root = '{{$IMAGENET_ROOT:data/imagenet}}/'
data_hint = (
    'get ImageNet-1k (image-net.org), and set the environment variable IMAGENET_ROOT to the folder '
    'with train and val, in each a folder a class'
)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
