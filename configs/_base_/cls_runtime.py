# MMPretrain's, and what distillation adds: before training starts, a hook looks after the
# checkpoints and tries the teacher; another shows what ISRD rebuilds.
_base_ = 'mmpretrain::_base_/default_runtime.py'
custom_imports = dict(imports=['pd_mmdet.classification'], allow_failed_imports=False)
custom_hooks = [dict(type='TeacherHook'), dict(type='ISRDVisualizationHook')]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=5, max_keep_ckpts=2),
)
