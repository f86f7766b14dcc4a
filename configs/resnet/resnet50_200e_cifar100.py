# MMPretrain's schedule of ResNet-50 on CIFAR-100.
_base_ = [
    'mmpretrain::_base_/models/resnet50_cifar.py',
    '../_base_/datasets/cifar100.py',
    'mmpretrain::_base_/schedules/cifar10_bs128.py',
    '../_base_/cls_runtime.py',
]
model = dict(head=dict(num_classes=100))
optim_wrapper = dict(optimizer=dict(weight_decay=0.0005))
param_scheduler = dict(milestones=[60, 120, 160], gamma=0.2)
