# MMPretrain's schedule of ResNet-50 on CIFAR-100, at the folder that CIFAR100_ROOT names.
_base_ = [
    'mmpretrain::_base_/models/resnet50_cifar.py',
    'mmpretrain::_base_/datasets/cifar100_bs16.py',
    'mmpretrain::_base_/schedules/cifar10_bs128.py',
    '../_base_/cls_runtime.py',
]
data_root = '{{$CIFAR100_ROOT:data/cifar100}}/'
data_hint = (
    'make the folder, and MMPretrain downloads CIFAR-100 into it; or set the environment variable '
    'CIFAR100_ROOT to the folder with cifar-100-python'
)
model = dict(head=dict(num_classes=100))
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(weight_decay=0.0005))
param_scheduler = dict(milestones=[60, 120, 160], gamma=0.2)
