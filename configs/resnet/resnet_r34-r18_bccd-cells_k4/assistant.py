# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = '../resnet18_slim_5e_bccd-cells.py'
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/resnet_r34-r18_bccd-cells_k4/teacher/epoch_5.pth}}'
)
model = dict(
    _delete_=True,
    type='PixelDistillClassifier',
    ratio=4,
    view='hr',
    student=_base_.model,
    teacher=dict(
        cfg='{{ fileDirname }}/../resnet34_slim_5e_bccd-cells.py', checkpoint=teacher_checkpoint
    ),
    terms=dict(
        kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=1.0)
    ),
)
low_resolution = dict(type='LowResolution', ratio=4, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-1], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
