# MMPretrain's CIFAR-100, at the folder that the variable CIFAR100_ROOT names.
_base_ = 'mmpretrain::_base_/datasets/cifar100_bs16.py'
data_root = '{{$CIFAR100_ROOT:data/cifar100}}/'
data_hint = (
    'make the folder, and MMPretrain downloads CIFAR-100 into it; or set the environment variable '
    'CIFAR100_ROOT to the folder with cifar-100-python'
)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
