# The student alone: the small network on the small image, undistilled.
_base_ = '../retinanet_r18_fpn_1x_voc0712.py'
model = dict(
    _delete_=True,
    type='SubCellDetector',
    cells=2,
    detector=dict(
        _base_.model,
        backbone=dict(
            _base_.model.backbone,
            # Nothing is frozen: small images look different, and ISRD trains the stem.
            frozen_stages=-1,
        ),
        bbox_head=dict(
            _base_.model.bbox_head,
            # Objects are 2 times as small, and so are their anchors.
            anchor_generator=dict(_base_.model.bbox_head.anchor_generator, octave_base_scale=2),
        ),
    ),
)
ceiling = '{{ fileDirname }}/../retinanet_r18_fpn_1x_voc0712.py'
# The large image is what the transforms before LowResolution yield. For testing, annotations that
# are loaded after all of them stay in the pixels of the file.
low_resolution = dict(type='LowResolution', ratio=2, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, *_base_.test_pipeline[-2:]]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            datasets=[
                dict(one, pipeline=train_pipeline)
                for one in _base_.train_dataloader.dataset.dataset.datasets
            ],
        ),
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
