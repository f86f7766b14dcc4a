# The student alone, with 4×4 sub-cells: its head has as many priors as one on the large image.
_base_ = '../retinanet_r34-r18_bccd_k2_c2/baseline.py'
model = dict(cells=4, detector=dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=1))))
low_resolution = dict(type='LowResolution', ratio=4, views=['lr'])
train_pipeline = [*_base_.train_pipeline[:-2], low_resolution, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:-2], low_resolution, _base_.test_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
