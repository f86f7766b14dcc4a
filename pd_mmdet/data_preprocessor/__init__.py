"""Data preprocessors of paired views: normalise and pad the views of student and teacher."""

from .detection import PairedDetDataPreprocessor
from .paired import PairedDataPreprocessor

__all__ = ['PairedDataPreprocessor', 'PairedDetDataPreprocessor']
