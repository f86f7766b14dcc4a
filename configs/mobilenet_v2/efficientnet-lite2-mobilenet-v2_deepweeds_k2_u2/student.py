# Stage 2, assistant on the large image -> student on the small one: compress the input.
_base_ = './baseline.py'
assistant_checkpoint = '{{$ASSISTANT_CHECKPOINT:work_dirs/efficientnet-lite2-mobilenet-v2_deepweeds_k2_u2/assistant/epoch_10.pth}}'
load_from = assistant_checkpoint
model = dict(
    _delete_=True,
    type='PixelDistillClassifier',
    ratio=1,
    student_weight=0.1,
    student=_base_.model,
    teacher=dict(cfg=_base_.ceiling, checkpoint=assistant_checkpoint),
    terms=dict(
        kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=0.9)
    ),
    isrd=dict(weight=10.0),
)
low_resolution = dict(type='LowResolution', ratio=2, enlarge=2)
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, dict(type='PackPairedInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
