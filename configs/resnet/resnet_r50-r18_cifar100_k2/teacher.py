# The large network on the large image.
_base_ = '../resnet50_200e_cifar100.py'
