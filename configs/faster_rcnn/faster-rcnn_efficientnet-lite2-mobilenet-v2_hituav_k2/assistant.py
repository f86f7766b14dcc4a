# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = './baseline.py'
teacher_checkpoint = '{{$TEACHER_CHECKPOINT:work_dirs/faster-rcnn_efficientnet-lite2-mobilenet-v2_hituav_k2/teacher/iter_1000.pth}}'
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=2,
    view='hr',
    student=dict(type='AFPDetector', ratio=2, detector=_base_.model),
    teacher=dict(
        cfg='{{ fileDirname }}/../faster-rcnn_efficientnet-lite2_fpn_hituav.py',
        checkpoint=teacher_checkpoint,
    ),
    terms=dict(pkd=dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0)),
)
low_resolution = dict(type='LowResolution', ratio=2, views=['hr'])
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-3], low_resolution, *_base_.test_pipeline[-2:]]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(one, pipeline=train_pipeline) for one in _base_.train_dataloader.dataset.datasets
        ],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
