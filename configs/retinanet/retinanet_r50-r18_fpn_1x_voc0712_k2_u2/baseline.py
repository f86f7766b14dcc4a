# The student alone: the small network on the small image, undistilled.
_base_ = '../retinanet_r18_fpn_1x_voc0712.py'
model = dict(
    backbone=dict(
        # Nothing is frozen: small images look different, and ISRD trains the stem.
        frozen_stages=-1,
    ),
)
ceiling = '{{ fileDirname }}/../retinanet_r18_fpn_1x_voc0712.py'
# The large image is what the transforms before LowResolution yield. For testing, annotations that
# are loaded after all of them stay in the pixels of the file.
low_resolution = dict(type='LowResolution', ratio=2, enlarge=2, views=['lr'])
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
