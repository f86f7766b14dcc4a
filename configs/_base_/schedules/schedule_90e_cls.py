# The same for vision transformers.
_base_ = './schedule_120e_cls.py'
optim_wrapper = dict(optimizer=dict(lr=0.001))
param_scheduler = dict(milestones=[30, 60])
train_cfg = dict(max_epochs=90)
