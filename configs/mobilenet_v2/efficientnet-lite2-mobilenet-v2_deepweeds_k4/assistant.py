# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = '../mobilenet-v2_10e_deepweeds.py'
teacher_checkpoint = '{{$TEACHER_CHECKPOINT:work_dirs/efficientnet-lite2-mobilenet-v2_deepweeds_k4/teacher/epoch_10.pth}}'
model = dict(
    _delete_=True,
    type='PixelDistillClassifier',
    ratio=4,
    view='hr',
    student_weight=0.1,
    student=_base_.model,
    teacher=dict(
        cfg='{{ fileDirname }}/../efficientnet-lite2_10e_deepweeds.py',
        checkpoint=teacher_checkpoint,
    ),
    terms=dict(
        kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=0.9)
    ),
)
low_resolution = dict(type='LowResolution', ratio=4, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
