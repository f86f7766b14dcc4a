# The runtime of trainings that count iterations.
_base_ = './default_runtime.py'
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=500, max_keep_ckpts=2),
)
log_processor = dict(by_epoch=False)
custom_hooks = [
    dict(type='TeacherHook'),
    dict(type='PriorCoverageHook'),
    dict(type='ISRDVisualizationHook', interval=100),
]
