# The large network on the large image.
_base_ = '../../vision_transformer/vit-base-p16_90e_cub.py'
