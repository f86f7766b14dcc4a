# Stage 2, assistant on the large image -> student on the small one: compress the input.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
assistant_checkpoint = (
    '{{$ASSISTANT_CHECKPOINT:work_dirs/retinanet_r34-r18_bccd_k2/assistant/iter_800.pth}}'
)
load_from = assistant_checkpoint
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=2,
    student={{_base_.model}},
    teacher=dict(
        cfg=dict(type='AFPDetector', ratio=2, detector={{_base_.model}}),
        checkpoint=assistant_checkpoint,
    ),
    # Twice the usual weights: the better of two trials on a split of the training images.
    terms=dict(
        pkd=dict(student='neck', teacher='neck.afp', loss=dict(type='PearsonLoss'), weight=4.0),
        cls=dict(
            student='bbox_head',
            teacher='bbox_head',
            loss=dict(type='DenseHeadClsLoss'),
            weight=2.0,
        ),
        box=dict(
            student='bbox_head',
            teacher='bbox_head',
            loss=dict(type='DenseHeadBoxLoss'),
            weight=2.0,
        ),
    ),
    isrd={{_base_.isrd}},
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='LowResolution', ratio=2),
    dict(type='PackPairedDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
