"""Batches of paired views: each side gets its view, normalised and padded its way."""

from .detection import PairedDetDataPreprocessor
from .paired import PairedDataPreprocessor

__all__ = ['PairedDataPreprocessor', 'PairedDetDataPreprocessor']
