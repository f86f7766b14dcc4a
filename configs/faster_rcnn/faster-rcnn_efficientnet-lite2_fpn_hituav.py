# A large network for drones, in two stages; needs MMPretrain and timm. ../atss/README.md says how to
# make the file of its weights, which the variable EFFICIENTNET_LITE2 names.
_base_ = './faster-rcnn_mobilenet-v2_fpn_hituav.py'
custom_imports = dict(imports=['pd_mmdet', 'mmpretrain.models'], allow_failed_imports=False)
model = dict(
    data_preprocessor=dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0]),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='tf_efficientnet_lite2',
        features_only=True,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$EFFICIENTNET_LITE2:checkpoints/efficientnet_lite2.pth}}',
        ),
    ),
    neck=dict(in_channels=[24, 48, 120, 352]),
)
