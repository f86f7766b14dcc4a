# A small network for weeds, with ImageNet's weights.
_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    '../_base_/datasets/deepweeds.py',
    '../_base_/schedules/schedule_10e_finetune_cls.py',
    '../_base_/cls_runtime.py',
]
model = dict(
    # MMDetection's, since the weights have its names of layers, which are not MMPretrain's.
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(7,),
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$MOBILENET_V2:open-mmlab://mmdet/mobilenet_v2}}'
        ),
    ),
    head=dict(num_classes=9, topk=(1,)),
)
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))  # faster on a CPU
