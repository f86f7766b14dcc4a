# MMDetection's, and what distillation adds. The teacher's and the priors' checks speak before
# training starts.
_base_ = 'mmdet::_base_/default_runtime.py'
custom_imports = dict(imports=['pd_mmdet'], allow_failed_imports=False)
