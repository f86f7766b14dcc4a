# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = '../resnet18_120e_aircraft.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/resnet_r50-r18_aircraft_k2/teacher/epoch_120.pth}}'
)
model = dict(
    _delete_=True,
    type='PixelDistillClassifier',
    ratio=2,
    view='hr',
    student_weight=0.1,
    student=_base_.model,
    teacher=dict(
        cfg='{{ fileDirname }}/../resnet50_120e_aircraft.py', checkpoint=teacher_checkpoint
    ),
    terms=dict(
        kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=0.9)
    ),
)
low_resolution = dict(type='LowResolution', ratio=2, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
