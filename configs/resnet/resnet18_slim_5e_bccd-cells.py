_base_ = [
    '../_base_/models/resnet18_slim.py',
    '../_base_/datasets/bccd_cells.py',
    '../_base_/schedules/schedule_5e_scratch_cls.py',
    '../_base_/cls_runtime.py',
]
model = dict(head=dict(num_classes=3, topk=(1,)))
