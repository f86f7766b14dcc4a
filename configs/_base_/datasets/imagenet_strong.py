# MMPretrain's ImageNet-1k with the augmentations of Swin Transformer and DeiT.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'
data_root = '{{$IMAGENET_ROOT:data/imagenet}}/'
data_hint = (
    'get ImageNet-1k (image-net.org), and set the environment variable IMAGENET_ROOT to the folder '
    'with train and val, in each a folder a class'
)
train_dataloader = dict(batch_size=256, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
