# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r34-r18_glyphs_k2/teacher/iter_1000.pth}}'
)
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=2,
    view='hr',
    student=dict(type='AFPDetector', ratio=2, detector=_base_.model),
    teacher=dict(cfg='{{ fileDirname }}/teacher.py', checkpoint=teacher_checkpoint),
    terms=_base_.assistant_terms,
)
low_resolution = dict(type='LowResolution', ratio=2, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
max_iters = 1000
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, T_max=max_iters - 100),
]
