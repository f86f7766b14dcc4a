# A large network for weeds; needs timm. ../atss/README.md says how to make the file of its weights,
# which the variable EFFICIENTNET_LITE2 names.
_base_ = './mobilenet-v2_10e_deepweeds.py'
data_preprocessor = dict(mean=[127.0, 127.0, 127.0], std=[128.0, 128.0, 128.0])
model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='tf_efficientnet_lite2',
        features_only=True,
        out_indices=(4,),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$EFFICIENTNET_LITE2:checkpoints/efficientnet_lite2.pth}}',
        ),
    ),
    head=dict(in_channels=352),
)
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))  # faster on a CPU
