# MMPretrain's schedule, from scratch: the paper's is for fine-tuning.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/datasets/imagenet.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    '../_base_/cls_runtime.py',
]
