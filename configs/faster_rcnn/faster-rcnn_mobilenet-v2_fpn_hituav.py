# A small network for drones, in two stages.
_base_ = [
    '../_base_/models/faster-rcnn_mobilenet-v2_fpn.py',
    '../_base_/datasets/hituav.py',
    '../_base_/schedules/schedule_1000_finetune.py',
    '../_base_/iter_runtime.py',
]
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))  # faster on a CPU
