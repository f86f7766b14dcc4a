"""Pixel distillation of MMPretrain's classifiers.

Configs switch it on: ``custom_imports = dict(imports=['pd_mmdet.classification'])``. It needs
MMPretrain, which detection does without.
"""

from .classifier import PixelDistillClassifier
from .data_preprocessor import PairedClsDataPreprocessor
from .formatting import PackPairedInputs

__all__ = ['PackPairedInputs', 'PairedClsDataPreprocessor', 'PixelDistillClassifier']
