# BCCD at the size of its files, from ImageNet's weights: for a GPU.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/bccd640_detection.py',
    '../_base_/schedules/schedule_1500_finetune.py',
    '../_base_/iter_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
