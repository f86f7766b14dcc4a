# The student alone: the small network on the small image, enlarged to the size of the large one. Its
# anchors are those of the large image.
_base_ = '../retinanet_r34-r18_bccd_k2/baseline.py'
model = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=4)))
ceiling = '{{ fileDirname }}/../retinanet_r34-r18_bccd_k2/ceiling.py'
low_resolution = dict(type='LowResolution', ratio=2, enlarge=2, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
