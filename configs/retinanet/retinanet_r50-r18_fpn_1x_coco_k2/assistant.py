# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r50-r18_fpn_1x_coco_k2/teacher/epoch_12.pth}}'
)
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=2,
    view='hr',
    student=dict(type='AFPDetector', ratio=2, detector={{_base_.model}}),
    teacher=dict(
        cfg='mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        checkpoint=teacher_checkpoint,
    ),
    terms={{_base_.assistant_terms}},
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LowResolution', ratio=2, views=['hr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LowResolution', ratio=2, views=['hr']),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
