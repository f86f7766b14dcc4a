# The large network on the large image.
_base_ = '../../resnet/resnet50_120e_aircraft.py'
