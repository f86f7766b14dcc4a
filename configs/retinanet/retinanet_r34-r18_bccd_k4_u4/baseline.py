# The student alone: the small network on the small image, enlarged to the size of the large one.
_base_ = '../retinanet_r34-r18_bccd_k2_u2/baseline.py'
low_resolution = dict(type='LowResolution', ratio=4, enlarge=4, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
