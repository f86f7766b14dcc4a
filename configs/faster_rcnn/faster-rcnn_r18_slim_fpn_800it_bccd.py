_base_ = [
    '../_base_/models/faster-rcnn_r18_slim_fpn.py',
    '../_base_/datasets/bccd_detection.py',
    '../_base_/schedules/schedule_800_scratch.py',
    '../_base_/iter_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
