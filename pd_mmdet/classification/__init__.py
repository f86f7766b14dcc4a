"""Pixel distillation for MMPretrain's classifiers.

To use it, write ``custom_imports = dict(imports=['pd_mmdet.classification'])`` in a config. It
needs MMPretrain, which detection does not need.
"""

from .classifier import PixelDistillClassifier
from .data_preprocessor import PairedClsDataPreprocessor
from .formatting import PackPairedInputs

__all__ = ['PackPairedInputs', 'PairedClsDataPreprocessor', 'PixelDistillClassifier']
