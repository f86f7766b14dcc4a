# Stage 2, assistant on the large image -> student on the small one: compress the input.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
assistant_checkpoint = (
    '{{$ASSISTANT_CHECKPOINT:work_dirs/retinanet_r34-r18_bccd_k4_u2_c2/assistant/iter_800.pth}}'
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
    # Twice the usual weights: the better of two trials on a split of the training images.
    terms=_base_.doubled_terms,
    isrd=_base_.isrd,
)
low_resolution = dict(type='LowResolution', ratio=4, enlarge=2)
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, dict(type='PackPairedDetInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
