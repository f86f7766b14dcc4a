# What the small network reaches on the large image.
_base_ = '../resnet18_200e_cifar100.py'
