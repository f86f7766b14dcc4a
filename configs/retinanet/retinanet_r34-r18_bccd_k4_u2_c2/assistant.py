# Stage 1, teacher -> assistant, both on the large image: compress the model. With sub-cells the
# assistant has the priors of the teacher, so their heads are compared, too.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r34-r18_bccd_k4_u2_c2/teacher/iter_600.pth}}'
)
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=2,
    view='hr',
    student=dict(type='AFPDetector', ratio=2, detector=_base_.model),
    teacher=dict(
        cfg='{{ fileDirname }}/../retinanet_r34-r18_bccd_k2/teacher.py',
        checkpoint=teacher_checkpoint,
    ),
    terms=dict(_base_.assistant_terms, **_base_.head_terms),
)
low_resolution = dict(type='LowResolution', ratio=4, enlarge=2, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
