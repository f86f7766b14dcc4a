"""Pixel distillation of MMPretrain's classifiers.

Nothing else imports this: ``custom_imports = dict(imports=['pd_mmdet.classification'])`` does.
"""

from .classifier import PixelDistillClassifier
from .data_preprocessor import PairedClsDataPreprocessor
from .formatting import PackPairedInputs

__all__ = ['PackPairedInputs', 'PairedClsDataPreprocessor', 'PixelDistillClassifier']
