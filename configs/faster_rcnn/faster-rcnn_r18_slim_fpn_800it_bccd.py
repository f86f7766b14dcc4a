_base_ = [
    '../_base_/models/faster-rcnn_r18_slim_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_1000_scratch.py',
    '../_base_/iter_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
max_iters = 800
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, T_max=max_iters - 100),
]
