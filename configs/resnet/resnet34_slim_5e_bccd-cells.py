# From scratch on a few thousand images that are easy to tell apart.
_base_ = [
    '../_base_/models/resnet34_slim.py',
    '../_base_/datasets/bccd_cells.py',
    '../_base_/schedules/schedule_20e_scratch_cls.py',
    '../_base_/cls_runtime.py',
]
model = dict(head=dict(num_classes=3, topk=(1,)))
max_epochs = 5
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        end=max_epochs,
        T_max=max_epochs - 1,
        convert_to_iter_based=True,
    ),
]
