# The student alone: the small network on the small image, undistilled.
_base_ = '../faster-rcnn_mobilenet-v2_fpn_hituav.py'
model = dict(
    rpn_head=dict(
        # Objects are 2 times as small, and so are their anchors.
        anchor_generator=dict(scales=[0.75, 1.25]),
    ),
)
ceiling = '{{ fileDirname }}/../faster-rcnn_mobilenet-v2_fpn_hituav.py'
# The large image is what the transforms before LowResolution yield. For testing, annotations that
# are loaded after all of them stay in the pixels of the file.
low_resolution = dict(type='LowResolution', ratio=2, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-1], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, *_base_.test_pipeline[-2:]]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(one, pipeline=train_pipeline) for one in _base_.train_dataloader.dataset.datasets
        ],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
