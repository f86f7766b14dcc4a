# Stage 1, teacher -> assistant, both on the large image: compress the model.
_base_ = ['./baseline.py', '../../_base_/distillation.py']
teacher_checkpoint = (
    '{{$TEACHER_CHECKPOINT:work_dirs/retinanet_r50-r18_fpn_1x_voc0712_k4/teacher/epoch_4.pth}}'
)
model = dict(
    _delete_=True,
    type='AFPDistiller',
    ratio=4,
    view='hr',
    student=dict(type='AFPDetector', ratio=4, detector={{_base_.model}}),
    teacher=dict(
        cfg='mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py',
        checkpoint=teacher_checkpoint,
    ),
    terms={{_base_.assistant_terms}},
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='LowResolution', ratio=4, views=['hr']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='LowResolution', ratio=4, views=['hr']),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            datasets=[
                dict(
                    type='VOCDataset',
                    data_root={{_base_.data_root}},
                    ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                    data_prefix=dict(sub_data_root=f'VOC{year}/'),
                    filter_cfg=dict(filter_empty_gt=True, min_size=32, bbox_min_size=32),
                    pipeline=train_pipeline,
                )
                for year in (2007, 2012)
            ],
        )
    )
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
