# MMDetection's, and what distillation adds: before training starts, one hook looks after the
# checkpoints and tries the teacher, one says whether the priors suit the training boxes; the third
# shows what ISRD rebuilds.
_base_ = 'mmdet::_base_/default_runtime.py'
custom_imports = dict(imports=['pd_mmdet'], allow_failed_imports=False)
custom_hooks = [
    dict(type='TeacherHook'),
    dict(type='PriorCoverageHook'),
    dict(type='ISRDVisualizationHook'),
]
