# Stage 2, assistant on the large image -> student on the small one: compress the input.
_base_ = './baseline.py'
assistant_checkpoint = '{{$ASSISTANT_CHECKPOINT:work_dirs/faster-rcnn_efficientnet-lite2-mobilenet-v2_hituav_k2/assistant/iter_1000.pth}}'
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
        rpn_cls=dict(
            student='rpn_head', teacher='rpn_head', loss=dict(type='DenseHeadClsLoss'), weight=1.0
        ),
        rpn_box=dict(
            student='rpn_head', teacher='rpn_head', loss=dict(type='DenseHeadBoxLoss'), weight=1.0
        ),
        roi_cls=dict(
            student='roi_head.bbox_head',
            teacher='roi_head.bbox_head',
            loss=dict(type='RoIHeadClsLoss'),
            weight=1.0,
        ),
        roi_box=dict(
            student='roi_head.bbox_head',
            teacher='roi_head.bbox_head',
            loss=dict(type='RoIHeadBoxLoss'),
            weight=1.0,
        ),
    ),
    isrd=dict(weight=0.5),
)
low_resolution = dict(type='LowResolution', ratio=2)
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, dict(type='PackPairedDetInputs')]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(one, pipeline=train_pipeline) for one in _base_.train_dataloader.dataset.datasets
        ],
    ),
)
