# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r34-r18_bccd_k4/teacher/iter_600.pth}}'
)
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=4,
    view='hr',
    student=dict(type='AFPDetector', ratio=4, detector={{_base_.model}}),
    teacher=dict(cfg='{{ fileDirname }}/teacher.py', checkpoint=teacher_checkpoint),
    terms={{_base_.assistant_terms}},
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='LowResolution', ratio=4, views=['hr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LowResolution', ratio=4, views=['hr']),
    dict(type='PackDetInputs', meta_keys={{_base_.meta_keys}}),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
