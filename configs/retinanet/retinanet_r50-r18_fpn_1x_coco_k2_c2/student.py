# Stage 2, assistant on the large image -> student on the small one: compress the input.
_base_ = './baseline.py'
assistant_checkpoint = (
    '{{$ASSISTANT_CHECKPOINT:work_dirs/retinanet_r50-r18_fpn_1x_coco_k2_c2/assistant/epoch_12.pth}}'
)
load_from = assistant_checkpoint
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=2,
    student=_base_.model,
    teacher=dict(
        cfg=dict(type='AFPDetector', ratio=2, detector=_base_.model),
        checkpoint=assistant_checkpoint,
    ),
    terms=dict(
        pkd=dict(student='neck', teacher='neck.afp', loss=dict(type='PearsonLoss'), weight=2.0),
        cls=dict(
            student='bbox_head', teacher='bbox_head', loss=dict(type='DenseHeadClsLoss'), weight=1.0
        ),
        box=dict(
            student='bbox_head', teacher='bbox_head', loss=dict(type='DenseHeadBoxLoss'), weight=1.0
        ),
    ),
    isrd=dict(weight=0.5),
)
low_resolution = dict(type='LowResolution', ratio=2)
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, dict(type='PackPairedDetInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
