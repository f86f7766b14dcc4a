# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = '../resnet18_slim_20e_glyphs.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/resnet_r34-r18_glyphs_k2/teacher/epoch_20.pth}}'
)
model = dict(
    _delete_=True,
    type='PixelDistillClassifier',
    ratio=2,
    view='hr',
    student=_base_.model,
    teacher=dict(
        cfg='{{ fileDirname }}/../resnet34_slim_20e_glyphs.py', checkpoint=teacher_checkpoint
    ),
    terms=dict(
        kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=1.0)
    ),
)
low_resolution = dict(type='LowResolution', ratio=2, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
