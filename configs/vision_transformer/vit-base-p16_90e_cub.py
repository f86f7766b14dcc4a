# The same network four times as wide.
_base_ = './vit-tiny-p16_90e_cub.py'
pretrained = (
    'https://mmassets.onedl.ai/mmclassification/v0/deit/'
    'deit-base_pt-16xb64_in1k_20220216-db63c16c.pth'
)
model = dict(
    backbone=dict(arch='deit-base', init_cfg=dict(checkpoint=pretrained)),
    head=dict(in_channels=768),
)
